"""Random state of the process is as before, also after an exception."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest

from xaicore import randomness


def draws(holder: SimpleNamespace) -> list[float]:
    return [
        random.random(),
        np.random.random(),
        holder.generator.random(),
        holder.legacy.random_sample(),
        holder.python.random(),
    ]


def new_holder() -> SimpleNamespace:
    return SimpleNamespace(
        generator=np.random.default_rng(1), legacy=np.random.RandomState(2), python=random.Random(3), other="text"
    )


@pytest.mark.parametrize("fails", [False, True])
def test_global_and_held_generators_are_restored(fails: bool) -> None:
    holder = new_holder()
    with randomness.preserved(holder):
        expected = draws(holder)
    try:
        with randomness.preserved(holder):
            assert draws(holder) == expected
            draws(holder)
            if fails:
                raise RuntimeError
    except RuntimeError:
        assert fails
    assert draws(holder) == expected


def test_a_generator_that_nobody_holds_goes_on() -> None:
    holder = new_holder()
    with randomness.preserved():
        first = holder.generator.random()
    assert holder.generator.random() != first


def test_the_parts_of_a_loader() -> None:
    innermost = SimpleNamespace()
    dataset = SimpleNamespace(dataset=innermost)
    batches = SimpleNamespace(sampler="inner sampler")
    loader = SimpleNamespace(sampler="sampler", batch_sampler=batches, dataset=dataset)
    assert list(randomness.loader_parts(loader)) == [loader, "sampler", batches, "inner sampler", dataset, innermost]
    assert [part for part in randomness.loader_parts([1]) if part is not None] == [[1]]

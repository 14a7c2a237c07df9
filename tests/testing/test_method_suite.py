"""The contract of methods, checked on the core's own, and on broken ones."""

from __future__ import annotations

import random
import unittest
from typing import Any

import numpy as np
import pytest
from framework import failures

from xaicore import METHODS, Method, maps, testing
from xaicore.testing.running import QUICK


class OfTheCore(testing.MethodTests):
    """A method that is at hand."""

    def __init__(self, method: Any, **options: Any) -> None:
        self.one = method if isinstance(method, Method) else Method.around(method)
        self.options = options  # type: ignore[misc]

    def method(self) -> Method:
        return self.one.with_options(**self.options)


TESTS = [name for name in dir(testing.MethodTests) if name.startswith("test_")]


@pytest.mark.parametrize("name", METHODS)
def test_the_methods_of_the_core(name: str) -> None:
    suite = OfTheCore(METHODS[name], **QUICK.get(name, {}))
    for test in TESTS:
        if test not in ("test_the_import_is_silent",):
            try:
                getattr(suite, test)()
            except unittest.SkipTest:
                assert not METHODS[name].takes_arrays


def needs(need: Any, **more: Any) -> Any:
    def mark(function: Any) -> Any:
        function.needs = need
        vars(function).update(more)
        return function

    return mark


def sound(activations: Any, gradients: Any) -> Any:
    return maps.weighted_sum(gradients.reshape(*gradients.shape[:3], -1).mean(axis=-1), activations)


def sums_over_targets(activations: Any, gradients: Any) -> Any:
    return sound(activations, gradients.mean(axis=1, keepdims=True).repeat(gradients.shape[1], axis=1))


def divides_by_the_largest_of_the_batch(activations: Any, gradients: Any) -> Any:
    found = sound(activations, gradients)
    return found / max(np.abs(found).max(), 1e-9)


def divides_by_the_largest_of_the_targets(activations: Any, gradients: Any) -> Any:
    found = sound(activations, gradients)
    return found / np.maximum(np.abs(found).max(axis=(1, 2, 3), keepdims=True), 1e-9)


def divides_by_zero(activations: Any, gradients: Any) -> Any:
    found = sound(activations, gradients)
    with np.errstate(invalid="ignore"):
        return found / np.abs(found).max(axis=tuple(range(2, found.ndim)), keepdims=True)


def adds_one(activations: Any, gradients: Any) -> Any:
    return np.maximum(sound(activations, gradients), 0) + 1


def writes_into_its_arguments(activations: Any, gradients: Any) -> Any:
    gradients *= 1
    return sound(activations, np.maximum(gradients, 0, out=gradients))


def knows_pictures_alone(activations: Any, gradients: Any) -> Any:
    return np.einsum("nchw,nkc->nkhw", activations, gradients.mean(axis=(3, 4)))


def leaves_the_axis_of_channels(activations: Any, gradients: Any) -> Any:
    return activations[:, None] * gradients


def draws_from_the_global_generator(activations: Any, gradients: Any) -> Any:
    return sound(activations, gradients) * random.random()


def seeds_the_global_generator(activations: Any, gradients: Any) -> Any:
    np.random.seed(0)
    return sound(activations, gradients)


def has_an_option_without_a_default(activations: Any, gradients: Any, *, strength: float) -> Any:
    return strength * sound(activations, gradients)


@needs("gradients", fusion="telepathy")
def has_an_unknown_fusion(activations: Any, gradients: Any) -> Any:
    return sound(activations, gradients)


BROKEN = {
    sums_over_targets: "method-targets",
    divides_by_the_largest_of_the_batch: "method-batch",
    divides_by_the_largest_of_the_targets: "method-targets",
    divides_by_zero: "method-finite",
    adds_one: "method-finite",
    writes_into_its_arguments: "method-arguments",
    knows_pictures_alone: "method-positions",
    leaves_the_axis_of_channels: "method-shape",
    draws_from_the_global_generator: "method-deterministic",
    seeds_the_global_generator: "method-random",
    has_an_option_without_a_default: "method-needs",
    has_an_unknown_fusion: "method-needs",
}


def test_the_sound_one_passes() -> None:
    assert [failures(OfTheCore(sound), clause) for clause in {*BROKEN.values()}] == [[]] * len({*BROKEN.values()})


@pytest.mark.parametrize(("function", "clause"), BROKEN.items(), ids=lambda one: getattr(one, "__name__", one))
def test_each_fault_is_named(function: Any, clause: str) -> None:
    assert {error.clause.id for error in failures(OfTheCore(function), clause)} == {clause}

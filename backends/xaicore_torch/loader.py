"""A data loader as it was found, although somebody else has read it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

__all__ = ["loader_as_found"]

GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)


@contextlib.contextmanager
def loader_as_found(source: Any) -> Iterator[None]:
    """Keep the generators of a loader, its samplers and its data sets, and the workers that it keeps.

    Workers that outlive an epoch would go on where they are, in an epoch that is under way too; so the loader is read
    with new ones.
    """
    undo = [_keep(value) for part in _parts(source) for value in _attributes(part) if isinstance(value, GENERATORS)]
    persistent = isinstance(source, DataLoader) and source.persistent_workers
    kept = dict(vars(source)) if persistent else {}
    try:
        if persistent:  # a loader refuses to have this set
            vars(source).update(persistent_workers=False, _iterator=None)
        yield
    finally:
        if persistent:
            vars(source).update(kept)
        for restore in undo:
            restore()


def _parts(source: Any) -> Iterator[Any]:
    batches = getattr(source, "batch_sampler", None)
    yield from (source, getattr(source, "sampler", None), batches, getattr(batches, "sampler", None))
    while (source := getattr(source, "dataset", None)) is not None:
        yield source


def _attributes(part: Any) -> list[Any]:
    return list(getattr(part, "__dict__", {}).values())


def _keep(generator: Any) -> Callable[[], None]:
    if isinstance(generator, np.random.Generator):
        return partial(setattr, generator.bit_generator, "state", generator.bit_generator.state)
    if isinstance(generator, random.Random):
        return partial(generator.setstate, generator.getstate())
    return partial(generator.set_state, generator.get_state())

"""A data loader as it was found, although somebody else has read it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader

__all__ = ["loader_as_found", "loader_parts"]


@contextlib.contextmanager
def loader_as_found(source: Any) -> Iterator[None]:
    """Keep torch's generators of a loader, its samplers and its data sets, and the workers that it keeps.

    Workers that outlive an epoch would go on where they are, in an epoch that is under way too; so the loader is read
    with new ones.
    """
    values = [value for part in loader_parts(source) for value in getattr(part, "__dict__", {}).values()]
    states = [(value, value.get_state()) for value in values if isinstance(value, torch.Generator)]
    persistent = isinstance(source, DataLoader) and source.persistent_workers
    kept = dict(vars(source)) if persistent else {}
    try:
        if persistent:  # a loader refuses to have this set
            vars(source).update(persistent_workers=False, _iterator=None)
        yield
    finally:
        if persistent:
            vars(source).update(kept)
        for generator, state in states:
            generator.set_state(state)


def loader_parts(source: Any) -> Iterator[Any]:
    """What a loader draws with: itself, its samplers, and its data sets, one inside of the other."""
    batches = getattr(source, "batch_sampler", None)
    yield from (source, getattr(source, "sampler", None), batches, getattr(batches, "sampler", None))
    while (source := getattr(source, "dataset", None)) is not None:
        yield source

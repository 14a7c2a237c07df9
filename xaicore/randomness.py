"""Random state of the process, restored after code ran that draws from it.

Only Python's and NumPy's: a framework's generators belong to its backend.
"""

from __future__ import annotations

import contextlib
import functools
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

__all__ = ["loader_parts", "preserved"]


@contextlib.contextmanager
def preserved(*holders: Any) -> Iterator[None]:
    """Restore Python's and NumPy's global random state on exit, also after an exception.

    Args:
        holders: objects whose own generators are restored too: attributes that are a `numpy.random.Generator`, a
            `numpy.random.RandomState` or a `random.Random`.
    """
    python, numpy = random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002 (the state that loaders draw from)
    restores = [_restore(value) for holder in holders for value in getattr(holder, "__dict__", {}).values()]
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        for restore in restores:
            restore()


def loader_parts(source: Any) -> Iterator[Any]:
    """The objects that a data loader draws with: itself, its samplers, and its data sets from the outside in."""
    batches = getattr(source, "batch_sampler", None)
    yield from (source, getattr(source, "sampler", None), batches, getattr(batches, "sampler", None))
    while (source := getattr(source, "dataset", None)) is not None:
        yield source


def _restore(generator: Any) -> Callable[[], object]:
    """Return a function that restores this generator's present state; a no-op for anything else."""
    if isinstance(generator, np.random.Generator):
        return functools.partial(setattr, generator.bit_generator, "state", generator.bit_generator.state)
    if isinstance(generator, np.random.RandomState):
        return functools.partial(generator.set_state, generator.get_state())
    if isinstance(generator, random.Random):
        return functools.partial(generator.setstate, generator.getstate())
    return lambda: None

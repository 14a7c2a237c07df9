"""Reading a data loader without changing what the training draws from it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader

from xaicore.randomness import loader_parts
from xaicore_torch.private import without_workers

__all__ = ["preserved_loader"]


@contextlib.contextmanager
def preserved_loader(source: Any = None) -> Iterator[None]:
    """Restore torch's random state on exit, while code in between reads the loader `source`.

    Restored are torch's global generator of the CPU and the `torch.Generator`s that the loader, its samplers and its
    data sets have as attributes. Persistent workers would continue where they are, even in an epoch under way; so
    the loader is read with new workers.

    Args:
        source: a data loader of any kind; None where there is none.
    """
    attributes = [value for part in loader_parts(source) for value in getattr(part, "__dict__", {}).values()]
    states = [(value, value.get_state()) for value in attributes if isinstance(value, torch.Generator)]
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng([]))
        if isinstance(source, DataLoader) and source.persistent_workers:
            stack.enter_context(without_workers(source))
        try:
            yield
        finally:
            for generator, state in states:
                generator.set_state(state)

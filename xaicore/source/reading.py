"""A source is read and prepared beside the model: some batches ahead, by a few threads, in order.

OpenCV and NumPy work outside of Python's lock, and so do the tensors of a framework.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from xaicore.errors import XaicoreError
from xaicore.pictures import Preparation
from xaicore.source.items import Item, Prepared, prepared_as
from xaicore.source.listing import Listing
from xaicore.source.ready import Ready
from xaicore.source.streams import Ended
from xaicore.source.threads import Threads

__all__ = ["AHEAD", "Batch", "Reading", "as_is", "default_readers"]

AHEAD = 2
"""Batches that are read while one is explained: what else is in memory."""

MOST = 8
"""Threads; more wait for each other."""


def default_readers() -> int:
    """A thread per processor, up to `MOST`."""
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, MOST)


def as_is(x: np.ndarray) -> np.ndarray:
    """The preparation of what is the model's own input."""
    return x


class Batch:
    """Some items of a source, read and prepared.

    Args:
        positions: of the items.
    """

    def __init__(self, positions: Sequence[int]) -> None:
        self.positions = positions
        self._futures: list[Future[Prepared]] = []
        self._ready: list[Prepared] | None = None

    def start(self, pool: Executor, reading: Reading) -> None:
        """Begin to read."""
        self._futures = [pool.submit(reading.item, position) for position in self.positions]

    def read(self) -> list[Prepared]:
        """All items, in order; waits for them. Those behind the end of a stream are none."""
        if self._ready is None:
            self._ready = []
            with contextlib.suppress(Ended):
                for future in self._futures:
                    self._ready.append(future.result())
            self._futures = []
        return self._ready

    def give(self, items: list[Prepared]) -> None:
        """Take items that were read already."""
        self._ready = items


Some = TypeVar("Some", bound=Batch)


def _nothing(waiting: Sequence[Batch], batch: Batch) -> None:
    """Nobody notes what is in work."""


@dataclass(frozen=True, eq=False)
class Reading:
    """How the items of a listing are read.

    Attributes:
        listing: the items.
        prepare: makes inputs of them.
        readers: threads.
    """

    listing: Listing
    prepare: Preparation
    readers: int

    @classmethod
    def of(cls, listing: Listing, preparation: Preparation | None, readers: int) -> Reading:
        """The reading of a listing whose pictures are prepared so, and whose inputs are not prepared."""
        prepare = Preparation.of(as_is) if listing.is_input else preparation
        assert prepare is not None  # the listing is made for pictures that are prepared
        return cls(listing, prepare, readers)

    def item(self, position: int) -> Prepared:
        """One item, read and prepared in this thread; what goes wrong is its error."""
        return _prepared(self.listing[position], self.prepare)

    def ahead(
        self, batches: Iterable[Some], note: Callable[[Sequence[Some], Some], object] = _nothing
    ) -> Iterator[Some]:
        """The batches in order, each read while those before it are explained.

        Args:
            batches: asked for one by one.
            note: called with the batches in work and one that comes to them, before it is read, or has left them.
        """
        batches = iter(batches)
        pool = Threads(self.readers, "xaicore-read")
        waiting: deque[Some] = deque()
        try:
            while True:
                for batch in itertools.islice(batches, AHEAD + 1 - len(waiting)):
                    waiting.append(batch)
                    note(waiting, batch)
                    batch.start(pool, self)
                if not waiting:
                    return
                yield waiting[0]
                note(waiting, waiting.popleft())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def batches(self, size: int, alone: str, start: int = 0) -> Iterator[Ready]:
        """All items, `size` at a time: those that can be explained, stacked, and those that cannot.

        Args:
            size: items per batch.
            alone: how the caller explains one picture at a time, for the message where their sizes differ.
            start: the position of the first one.

        Raises:
            InputError: the preparation returns something unexpected, as it would for every picture.
        """
        names: set[str] = set()
        with self.listing.awake(), contextlib.closing(self.ahead(map(Batch, self._positions(size, start)))) as batches:  # type: ignore[type-var]
            for batch in batches:
                items = batch.read()
                if self.listing.is_open:
                    items = _apart(items, names)
                if items:
                    yield Ready.of(items, self.listing, alone)
                if len(items) < len(batch.positions):  # the stream has ended
                    return

    def _positions(self, size: int, first: int) -> Iterator[range]:
        count = sys.maxsize if self.listing.is_open else len(self.listing)
        for start in range(first, count, size):
            yield range(start, min(start + size, count))


def _prepared(item: Item, prepare: Preparation) -> Prepared:
    found = None
    try:
        found = item.read()
        x, image = prepared_as(prepare, found.picture, item.id)
    except Ended:
        raise
    except Exception as exc:  # of one picture among many
        error = str(exc) if isinstance(exc, XaicoreError) else f"{item.id}: {type(exc).__name__}: {exc}"
        if found is None:
            return Prepared(item, error=error, is_read=False, cause=exc)
        return Prepared(item, error=error, truth=found.truth, cause=exc, name=found.name)
    return Prepared(item, x, image, truth=found.truth, name=found.name)


def _apart(items: Sequence[Prepared], names: set[str]) -> list[Prepared]:
    """The items of a pass that nobody has counted, by their own names; by their place where a name repeats.

    Args:
        items: the next ones.
        names: of all items before them; those of these are added.
    """
    found = []
    for one in items:
        name = one.item.id if one.name is None else one.name
        name = one.item.source.id if name in names else name
        names.add(name)
        found.append(replace(one, item=replace(one.item, id=name)))
    return found

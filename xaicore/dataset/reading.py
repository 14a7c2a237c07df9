"""Pictures are read and prepared beside the model: some batches ahead, by a few threads, in order.

OpenCV and NumPy work outside of Python's lock, and so do the tensors of a framework.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from xaicore.dataset.folder import Claim
from xaicore.dataset.trial import EXPLAINED, NOTHING, PREPARED, deadly
from xaicore.errors import XaicoreError
from xaicore.pictures import Preparation
from xaicore.source.items import Item, Prepared, prepared_as
from xaicore.source.listing import Listing

__all__ = ["AHEAD", "Batch", "default_readers", "read_ahead", "read_alone"]

AHEAD = 2
"""Batches that are read while one is explained: what else is in memory."""

MOST = 8
"""Threads; more wait for each other."""


class Batch:
    """Some items of one shard, ready for the model.

    Attributes:
        claim: of the shard.
        positions: of the items.
        is_last: the shard ends with them.
        in_work: the positions of the same shard that are read by now, these included.
    """

    def __init__(self, claim: Claim, positions: range, is_last: bool) -> None:
        self.claim, self.positions, self.is_last = claim, positions, is_last
        self.in_work: list[int] = []
        self._futures: list[Future[Prepared]] = []
        self._ready: list[Prepared] | None = None

    def start(self, pool: ThreadPoolExecutor, listing: Listing, prepare: Preparation) -> None:
        """Begin to read."""
        self._futures = [pool.submit(_prepared, listing[position], prepare) for position in self.positions]

    def read(self) -> list[Prepared]:
        """All items, in order; waits for them."""
        if self._ready is None:
            self._ready, self._futures = [future.result() for future in self._futures], []
        return self._ready

    def give(self, items: list[Prepared]) -> Batch:
        """The same, with items that were read already."""
        self._ready = items
        return self


def default_readers() -> int:
    """A thread per processor, up to `MOST`."""
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, MOST)


def read_ahead(batches: Iterator[Batch], listing: Listing, prepare: Preparation, readers: int) -> Iterator[Batch]:
    """The batches in order, each read while those before it are explained.

    What is in work is noted in the shard's journal before it begins.
    """
    pool = ThreadPoolExecutor(readers, thread_name_prefix="xaicore-read")
    waiting: deque[Batch] = deque()
    try:
        while True:
            while len(waiting) < AHEAD + 1:
                batch = next(batches, None)
                if batch is None:
                    break
                waiting.append(batch)
                _note(waiting, batch.claim)
                batch.start(pool, listing, prepare)
            if not waiting:
                return
            yield waiting[0]
            done = waiting.popleft()
            if not done.is_last:
                _note(waiting, done.claim)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def read_alone(
    batches: Iterator[Batch], listing: Listing, prepare: Preparation, attempt: Callable[[Item], object]
) -> Iterator[Batch]:
    """The batches of shards that a process died with, no two pictures at a time.

    What was in work then is tried in another process first, and noted one by one where that does not show everything.
    """
    tried, far = None, NOTHING
    for batch in batches:
        journal = batch.claim.journal
        if batch.claim is not tried:
            tried = batch.claim
            found, far = deadly([listing[position] for position in sorted(journal.suspects)], prepare, attempt)
            journal.give_up(found)
            journal.are_tried = far == EXPLAINED
        journal.begin(list(batch.positions))
        items = []
        for position in batch.positions:
            if position in journal.given_up:
                items.append(given_up(listing[position]))
            elif position in journal.suspects and far < PREPARED:
                with journal.alone(position):
                    items.append(_prepared(listing[position], prepare))
            else:
                items.append(_prepared(listing[position], prepare))
        yield batch.give(items)


def given_up(item: Item) -> Prepared:
    """The item that ends a process."""
    return Prepared(item, error=f"{item.id}: this picture ends the process that has it in work")


def _note(waiting: deque[Batch], claim: Claim) -> None:
    claim.journal.begin([position for batch in waiting if batch.claim is claim for position in batch.positions])


def _prepared(item: Item, prepare: Preparation) -> Prepared:
    picture = truth = None
    try:
        picture, truth = item.read()
        x, image = prepared_as(prepare, picture, item.id)
    except XaicoreError as exc:  # names the picture
        return Prepared(item, error=str(exc), truth=truth, is_read=picture is not None)
    except Exception as exc:  # of one picture among many
        error = f"{item.id}: {type(exc).__name__}: {exc}"
        return Prepared(item, error=error, truth=truth, is_read=picture is not None)
    return Prepared(item, x, image, truth=truth)

"""What a start reads before the run: noted in the run's folder, so that no start dies of what an earlier one died of.

The first and the last element of a data set show what all are, and one of the first pictures shows what the rows need.
A process that dies of one leaves `start.json`, a journal as those of shards, see `journal`. The next start tries what
was in work in a process of its own, and knows an element that ends this one, too, as lost: a row with an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from xaicore.dataset import files
from xaicore.dataset.folder import RunFolder, file_lock
from xaicore.dataset.journal import Journal
from xaicore.dataset.plan import Plan
from xaicore.dataset.trial import NOTHING, deadly
from xaicore.pictures import PictureError
from xaicore.source.indexed import Elements
from xaicore.source.items import ENDS_PROCESS, Item

__all__ = ["Start"]

TRIED = 1000
"""Positions among which pictures are chosen that no start died of."""


class Start:
    """What is in work before a run; a context, in which nothing is written before something is read.

    Jobs that share a folder may start together. One of them holds the lock and notes; what the others read is the same.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._root, self._path = folder.root, folder.start
        self._journal: Journal | None = None
        self._lock: Any = None
        self._made: list[Path] = []
        self._tried: set[int] = set()

    def __enter__(self) -> Start:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Nobody died: keep what earlier starts died of, and no folder that was made for this alone."""
        if self._journal is None:
            return
        with suppress(OSError):  # the disk may be full, and whatever ends the start is worth more
            self._journal.keep()
        self._lock.release()
        with suppress(OSError):
            Path(self._lock.lock_file).unlink(missing_ok=True)
            for folder in self._made:
                folder.rmdir()

    @property
    def lost(self) -> frozenset[int]:
        """The positions of elements that end the process."""
        return frozenset(Journal.lost(self._path) if self._journal is None else self._journal.given_up)

    def read(self, elements: Elements, position: int) -> Any:
        """An element, noted before it is read.

        Raises:
            PictureError: it ends the process.
            LoggerError: the note cannot be written.
            Exception: whatever the data set raises.
        """
        journal = self._noted()
        is_suspect = journal is not None and position in journal.suspects
        if is_suspect and position not in self._tried:
            self._try(elements, position)
        if position in self.lost:
            raise PictureError(f"source[{position}]: {ENDS_PROCESS}")
        if journal is not None and is_suspect:
            with journal.alone(position):
                return elements[position]
        with self.noting([position]):
            return elements[position]

    def spared(self, count: int, most: int) -> list[int]:
        """The first `most` positions of `count` pictures that no start died with."""
        journal = self._noted()
        avoided = self.lost if journal is None else self.lost | journal.suspects
        return [n for n in range(min(count, TRIED)) if n not in avoided][:most]

    def hand_over(self, folder: RunFolder, plan: Plan) -> None:
        """Have the run try elsewhere what earlier starts died with.

        Raises:
            LoggerError: the folder cannot be written.
        """
        suspects = set() if self._journal is None else self._journal.suspects
        for shard in {plan.shard_of(position) for position in suspects}:
            claim = folder.claim(shard)
            if claim is not None:
                claim.journal.suspect(suspects & set(plan.items(shard)))
                claim.release(False)

    @contextmanager
    def noting(self, positions: Sequence[int]) -> Iterator[None]:
        """These pictures are in work."""
        journal = self._noted()
        if journal is None:
            yield
            return
        journal.begin(list(positions))
        try:
            yield
        finally:
            journal.begin([])

    def _noted(self) -> Journal | None:
        """The journal; None where another job that starts has it."""
        if self._lock is None:
            self._made = [folder for folder in (self._root, *self._root.parents) if not folder.exists()]
            with files.run_errors(self._root):
                self._root.mkdir(parents=True, exist_ok=True)
            self._lock = file_lock(self._path.with_suffix(".lock"), 0) or False
            self._journal = Journal(self._path) if self._lock else None
        return self._journal

    def _try(self, elements: Elements, position: int) -> None:
        """Read an element in a process of its own, which may die of it."""
        assert self._journal is not None
        self._tried.add(position)
        found, far = deadly([Item(position, f"source[{position}]", _Element(elements, position))])
        self._journal.give_up(found)
        self._journal.are_tried = far > NOTHING


@dataclass(frozen=True)
class _Element:
    """An element as a source of pictures, for the process that tries it."""

    elements: Elements
    position: int

    @property
    def id(self) -> str:
        return f"source[{self.position}]"

    def read(self) -> Any:
        return self.elements[self.position]

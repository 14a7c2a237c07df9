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
from xaicore.errors import InputError
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
        if self._journal is not None:
            with suppress(OSError):  # the disk may be full, and whatever ends the start is worth more
                self._journal.keep()
            self._lock.release()
            with suppress(OSError):  # another job is about to take it
                Path(self._lock.lock_file).unlink(missing_ok=True)
        with suppress(OSError):  # they are not empty
            for folder in self._made:
                folder.rmdir()

    @property
    def lost(self) -> frozenset[int]:
        """The positions of elements that end the process, and numbers below 0 of batches that do."""
        return frozenset(Journal.lost(self._path) if self._journal is None else self._journal.given_up)

    def read(self, elements: Elements, position: int) -> Any:
        """An element, noted before it is read.

        Raises:
            PictureError: it ends the process.
            LoggerError: the note cannot be written.
            Exception: whatever the data set raises.
        """
        if self._is_lost(elements, position, position):
            raise PictureError(f"source[{position}]: {ENDS_PROCESS}")
        with self._at_work(position):
            return elements[position]

    def read_batch(self, source: Any, number: int) -> Any:
        """A batch, noted before it is read by a number below 0, which no picture has.

        Raises:
            InputError: it ends the process.
            LoggerError, Exception: see `read`.
        """
        note = -1 - number
        if self._is_lost(source, number, note):
            raise InputError(
                f"source[{number}], a batch, ends the process that reads it, and the first and the last one show how "
                "many images there are: leave it out of the data set, or mend it, and pass another out"
            )
        with self._at_work(note):
            return source[number]

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
        suspects = set() if self._journal is None else {one for one in self._journal.suspects if one >= 0}
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
            self._made += [folder for folder in (self._root, *self._root.parents) if not folder.exists()]
            with files.run_errors(self._root):
                self._root.mkdir(parents=True, exist_ok=True)
            self._lock = file_lock(self._path.with_suffix(".lock"), 0) or False
            self._journal = Journal(self._path) if self._lock else None
        return self._journal

    @contextmanager
    def _at_work(self, note: int) -> Iterator[None]:
        """An element is read, which may be one that an earlier start died with."""
        journal = self._noted()
        with journal.alone(note) if journal is not None and note in journal.suspects else self.noting([note]):
            yield

    def _is_lost(self, elements: Any, position: int, note: int) -> bool:
        """Whether an element ends the process; one that an earlier start died with is read in a process of its own."""
        journal = self._noted()
        if journal is not None and note in journal.suspects and note not in self._tried:
            self._tried.add(note)
            found, far = deadly([Item(note, f"source[{position}]", _Element(elements, position))])
            journal.give_up(found)
            journal.are_tried = far > NOTHING
        return note in self.lost


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

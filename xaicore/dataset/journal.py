"""What a shard's process is working on, so that the next one knows what the last one died of.

A picture can end the process that reads it: a decoder crashes, or memory runs out. The journal of a shard names the
pictures in work before they are in work. Who finds a journal knows that its writer died, and tries these pictures in
another process, see `trial`: one that dies there, too, is given up, and becomes a row with an error.

A model or a preparation that cannot be sent to another process is not tried there. Therefore these pictures are also
explained one by one, and the first death with one alone in work gives it up: nobody tries a picture a third time. Where
the other process did try all, it came through there, and the process was rather killed from outside: then `DEATHS`
deaths give it up, or one that a process of ours has seen, see `Journal.condemn`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from xaicore.dataset import files

__all__ = ["DEATHS", "Journal"]

DEATHS = 3
"""Deaths with a picture alone in work after which it is given up, although it came through in another process."""


class Journal:
    """The journal of one shard, by one process at a time: the one that has claimed the shard.

    Args:
        path: of its file.

    Attributes:
        suspects: positions of items that were in work when a process died, and have not come through since.
        given_up: positions of items that end the process.
        are_tried: suspects came through in another process, model and all.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        found = _read(path)
        self._deaths = {int(key): value for key, value in found.get("deaths", {}).items()}
        self.given_up = set(found.get("given_up", ()))
        self.suspects = set(found.get("suspects", ())) - self.given_up
        self.are_tried = False
        self._alone: int | None = None
        self._in_work: list[int] = []
        self._written = ""
        self._bury(found)

    @staticmethod
    def condemn(path: Path) -> int | None:
        """Give up the item that was alone in work, after its process was seen to die; its position, None for none."""
        found = _read(path)
        alone = found.get("alone")
        if alone is not None:
            found["given_up"] = sorted({*found.get("given_up", ()), alone})
            _append(path, json.dumps({**found, "alone": None}))
        return alone

    @staticmethod
    def lost(path: Path) -> set[int]:
        """The positions that are given up, in a journal that another process may write."""
        return set(_read(path).get("given_up", ()))

    def begin(self, positions: list[int]) -> None:
        """These items are in work from now on, all others are not."""
        if positions != self._in_work:
            self._in_work = positions
            self._write()

    @contextmanager
    def alone(self, position: int) -> Iterator[None]:
        """Only this item is in work."""
        self._alone = position
        self._write()
        try:
            yield
        finally:
            self._alone = None
            self._write()

    def give_up(self, positions: set[int]) -> None:
        """These items end a process."""
        if positions - self.given_up:
            self.given_up |= positions
            self.suspects -= positions
            self._write()

    def suspect(self, positions: set[int]) -> None:
        """These items were in work when a process died before the run."""
        self.suspects |= positions - self.given_up
        self._write()

    def clear(self, positions: list[int]) -> None:
        """These items have come through."""
        if self.suspects & set(positions):
            self.suspects -= set(positions)
            self._write()

    def remove(self) -> None:
        """The shard is done, or nobody died."""
        self._path.unlink(missing_ok=True)

    def keep(self) -> None:
        """Nobody died: forget what is in work, and keep what earlier processes died of."""
        self._in_work, self._alone = [], None
        if self.given_up or self.suspects:
            self._write()
        else:
            self.remove()

    def _bury(self, found: dict[str, Any]) -> None:
        """Count the death of the last writer."""
        alone = found.get("alone")
        if alone is not None:
            self._deaths[alone] = self._deaths.get(alone, 0) + 1
            if self._deaths[alone] >= (DEATHS if found.get("are_tried") else 1):
                self.given_up.add(alone)
        self.suspects |= set(found.get("in_work", ())) - self.given_up
        self.suspects -= self.given_up
        if found:
            self._write()

    def _write(self) -> None:
        text = json.dumps(
            {
                "alone": self._alone,
                "are_tried": self.are_tried,
                "in_work": self._in_work,
                "suspects": sorted(self.suspects),
                "deaths": self._deaths,
                "given_up": sorted(self.given_up),
            }
        )
        if text != self._written:
            _append(self._path, text)
            self._written = text


def _read(path: Path) -> dict[str, Any]:
    """The last whole line: what a process wrote before it died may be cut."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    for line in reversed(lines):
        with suppress(ValueError):
            found: dict[str, Any] = json.loads(line)
            return found
    return {}


def _append(path: Path, text: str) -> None:
    """Add a line. The system keeps it when the process dies; it need not reach the disk, which takes milliseconds."""
    with files.run_errors(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(descriptor, f"\n{text}\n".encode())
        finally:
            os.close(descriptor)

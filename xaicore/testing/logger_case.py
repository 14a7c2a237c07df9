"""What an author of a logger supplies: where it writes, and what can be read back."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from xaicore.explanation import Explanation
from xaicore.logger import Logger, Run
from xaicore.testing.checks import ContractError, Deviation, deviate, same
from xaicore.testing.clauses import CLAUSES
from xaicore.testing.kit import Kit, ask

__all__ = ["Expected", "LoggerCase", "folder"]

Expected = Sequence[tuple[Explanation, int | None]]
"""Explanations and their steps, in the order in which they were logged."""


class LoggerCase(Kit):
    """The base of all checks of loggers.

    `lacks` may name "rows" (nothing can be read back), "network" (the logger works without none) and "place" (there is
    no place that could not be written).
    """

    can_lack: ClassVar[tuple[str, ...]] = ("rows", "network", "place")

    def options(self, folder: Path) -> Mapping[str, Any]:
        """Options with which the logger writes into this folder, and nowhere else."""
        raise self._missing("options")

    def rows(self, folder: Path) -> Sequence[Mapping[str, Any]]:
        """What a reader finds in the folder after `close`: a dict per map, with "step", "id", "k" and "score".

        Numbers may be texts, and a step that is None may be missing. Rows that were replaced are left out.
        """
        raise self._missing("rows")

    def _missing(self, name: str) -> ContractError:
        return ContractError(CLAUSES["kit-declared"], Deviation(type(self).__name__, f"a method {name}", "none"))

    def build(self, folder: Path) -> Logger:
        """The plugin's logger for a folder."""
        return self.built(self.options(folder))

    def built(self, options: Mapping[str, Any]) -> Logger:
        """The plugin's logger with these options."""
        found = ask(self.plugin, "xaicore_logger", options=dict(options))
        if not isinstance(found, Logger):
            deviate("what xaicore_logger returns", "an xaicore.Logger", repr(found))
        same("its api_version", found.api_version, Logger.api_version)
        return found

    def log_all(self, folder: Path, logged: Expected, name: str = "run") -> None:
        """A whole run: open, log, flush after each, close."""
        logger = self.build(folder)
        logger.open(Run(name=name))
        for one, step in logged:
            logger.log(one, step)
            logger.flush()
        logger.close()

    def check_rows(self, what: str, folder: Path, expected: Expected, has_ids: bool = True) -> None:
        """Compare what can be read back with what was logged: (step, id, k) and the score of every row."""
        self.need("rows")
        found = sorted(_key(row, has_ids) for row in self.rows(folder))
        wanted = [{**one.row(m), "step": step} for one, step in expected for m in range(len(one))]
        keys = sorted(_key(row, has_ids) for row in wanted)
        if [key[:-1] for key in found] != [key[:-1] for key in keys]:
            deviate(f"(step, id, k) of the rows after {what}", [key[:-1] for key in keys], [key[:-1] for key in found])
        for came, one in zip(found, keys, strict=True):
            if abs(came[-1] - one[-1]) > 1e-3 * max(1, abs(one[-1])):
                deviate(f"the score of {came[:-1]} after {what}", one[-1], came[-1])


def _key(row: Mapping[str, Any], has_ids: bool) -> tuple[Any, ...]:
    step, score = row.get("step"), row.get("score")
    is_none = score in (None, "", "None", "nan", "NaN") or score != score
    texts = ("" if step is None else str(step), str(row["id"]) if has_ids else "", str(row["k"]))
    return (*texts, 0.0 if is_none else float(score))  # type: ignore[arg-type]  # a number or its text


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """An empty folder inside of the current one, which is a temporary folder meanwhile."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as place:
        work = Path(place).resolve() / "work"
        (work / "results").mkdir(parents=True)
        os.chdir(work)
        try:
            yield work / "results"
        finally:
            os.chdir(before)

"""The logger: open a file, append rows, close the file."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import TextIO

from xaicore import Explanation, Logger, LoggerError, Run

__all__ = ["COLUMNS", "CsvLogger"]

COLUMNS = (
    *("run", "step", "id", "k", "target", "target_name", "score", "predicted", "predicted_name"),
    *("truth", "truth_name", "method", "layer", "empty", "x0", "y0", "x1", "y1"),
)


class CsvLogger(Logger):
    """Appends a row for every map: what it explains, and the box of its evidence in pixels.

    Rows are never taken back. Where a step was logged twice, the last row of the same run, step, id, k, method and
    layer counts.

    Args:
        path: the file; it is made, with its folder, where there is none.
    """

    name = "csv"

    def __init__(self, path: str | os.PathLike[str] = "xaicore.csv") -> None:
        self.path = Path(path)
        self._file: TextIO | None = None

    def open(self, run: Run) -> None:
        """Open the file; a new one gets a line with the columns' names."""
        self._run, self.where = run.name, f"table: {self.path}"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # File names may hold bytes that are no text, and end up in ids.
            file = self.path.open("a", newline="", encoding="utf-8", errors="backslashreplace")
        except OSError as exc:
            raise LoggerError(f"{self.path} cannot be written: {exc.strerror}; pass another path=") from exc
        # Rows gain keys in later versions of xaicore; the file's columns stay.
        self._rows = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        if not file.tell():
            self._rows.writeheader()
        self._file = file

    def log(self, explanation: Explanation, step: int | None = None) -> None:
        """Append the explanation's rows; they are in the file when this returns.

        Raises:
            LoggerError: the logger is not open.
        """
        if self._file is None:
            raise self.not_open()
        boxes = explanation.boxes().tolist() if explanation.form == "picture" else [()] * len(explanation)
        for m, box in enumerate(boxes):
            corners = dict(zip(("x0", "y0", "x1", "y1"), box, strict=False))  # a signal or a volume has none
            self._rows.writerow({"run": self._run, "step": step, **explanation.row(m), **corners})
        self._file.flush()

    def close(self) -> None:
        """Close the file.

        Raises:
            LoggerError: the logger is not open.
        """
        if self._file is None:
            raise self.not_open()
        file, self._file = self._file, None
        file.close()

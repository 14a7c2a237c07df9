"""A tracker that writes a line of JSON for each map, and one for each step."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

import xaicore
from xaicore import LoggerError, Run, hookimpl, show


class Stonelog(xaicore.Tracker):
    """Writes stone.jsonl into a folder, and a picture for each map."""

    api_version = 1
    name = "stonelog"

    def __init__(self, folder: str = "stones", **drawing: Any) -> None:
        super().__init__(**drawing)
        self.folder = Path(folder)
        self._file: TextIO | None = None

    def connect(self, run: Run) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = (self.folder / "stone.jsonl").open("a", encoding="utf-8")
        except OSError as exc:
            raise LoggerError(f"{self.folder} cannot be written: {exc.strerror}; pass another folder=") from exc
        self.where = f"stonelog: {self.folder}"
        self._run = run.name

    def log_map(self, row: dict[str, Any], images: Mapping[str, np.ndarray]) -> None:
        name = show.safe_name(f"{row['step']} {row['id']} {row['k']}")
        if "overlay" in images:
            (self.folder / f"{name}.png").write_bytes(show.png(images["overlay"]))
        row["caption"] = show.caption(row)

    def log_step(self, step: int | None, rows: Sequence[dict[str, Any]]) -> None:
        for row in rows:
            kept = {key: row[key] for key in ("step", "id", "k", "method", "layer", "truth", "caption")}
            self._write({"run": self._run, **kept, "score": show.finite(row["score"])})
        self._write({"step": step, "right": show.mean(rows, "right")})

    def disconnect(self) -> None:
        if self._file is not None:
            self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(line, default=str) + "\n")
            self._file.flush()


@hookimpl
def xaicore_logger(options: Mapping[str, Any]) -> xaicore.Logger:
    return Stonelog(**options)

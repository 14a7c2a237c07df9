"""What an offline run of Weights & Biases holds, read from its files: nothing of wandb's own readers is needed.

A run's log is a LevelDB log: blocks of 32 KiB with records of a 7-byte header (checksum, length, kind) each, which
go on in the next block where they do not fit.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from wandb.proto import wandb_internal_pb2

BLOCK, HEADER = 32768, 7
WHOLE, LAST = 1, 4


def records(log: Path) -> Iterator[Any]:
    """All whole records of a log, also of one that was cut off."""
    content = log.read_bytes()
    at, parts = HEADER, b""
    while at + HEADER <= len(content):
        if BLOCK - at % BLOCK < HEADER:
            at += BLOCK - at % BLOCK
        _, length, kind = struct.unpack_from("<IHB", content, at)
        parts += content[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if at > len(content) or not kind:
            return
        if kind in (WHOLE, LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def picture(path: Path) -> np.ndarray:
    """(H, W, 3) RGB; fails where the file is none."""
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1]


class OfflineRun:
    """One run.

    Attributes:
        rows: the history, {key: value}, in the order of `_step`; media are dictionaries.
        increments: rows of the table `xaicore/table`, a list of {column: value} each time that it was logged; images
            are arrays.
        axes: {metric: its step metric, or None}.
        config: {key: value}
        finished: whether the run was.
    """

    def __init__(self, log: Path) -> None:
        self.folder = log.parent
        self.rows: list[dict[str, Any]] = []
        self.increments: list[list[dict[str, Any]]] = []
        self.axes: dict[str, str | None] = {}
        self.config: dict[str, Any] = {}
        self.finished = False
        for record in records(log):
            kind = record.WhichOneof("record_type")
            if kind == "history":
                self.rows.append(self._row(record.history))
            elif kind == "metric":
                self.axes[record.metric.glob_name or record.metric.name] = record.metric.step_metric or None
            elif kind == "artifact":
                self.increments.append(self._increment(record.artifact.manifest.contents))
            elif kind == "run":
                self._learn(record.run.config.update)
            elif kind == "config":
                self._learn(record.config.update)
            self.finished |= kind == "exit"

    @classmethod
    def all(cls, root: Path) -> list[OfflineRun]:
        """All runs under a folder, oldest first."""
        logs = sorted(root.glob("wandb/offline-run-*/run-*.wandb"), key=lambda log: log.stat().st_mtime_ns)
        return [cls(log) for log in logs]

    @property
    def ours(self) -> list[dict[str, Any]]:
        """The entries that hold anything of xaicore."""
        return [row for row in self.rows if any(key.startswith("xaicore/") for key in row)]

    def pictures(self, media: dict[str, Any]) -> list[np.ndarray]:
        """The images of a row's entry."""
        return [picture(self.folder / "files" / name) for name in media["filenames"]]

    def table_file(self, row: dict[str, Any]) -> dict[str, Any]:
        """What the run's own files have of the table at that row: images are but named there."""
        return json.loads((self.folder / "files" / row["xaicore/table"]["path"]).read_text())

    def _learn(self, items: Any) -> None:
        for item in items:
            self.config["/".join(item.nested_key) or item.key] = json.loads(item.value_json)

    def _row(self, history: Any) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for item in history.item:
            key, *inner = list(item.nested_key) or [item.key]
            value = json.loads(item.value_json)
            if inner:
                row.setdefault(key, {})["/".join(inner)] = value
            else:
                row[key] = value
        assert row["_step"] == history.step.num
        return row

    def _increment(self, contents: Any) -> list[dict[str, Any]]:
        files = {entry.path: Path(entry.local_path) for entry in contents}
        (name,) = [name for name in files if name.endswith(".xaicore/table.table.json")]
        table = json.loads(files[name].read_text(), parse_constant=no_json)

        def cell(value: Any) -> Any:
            return picture(files[value["path"]]) if isinstance(value, dict) else value

        return [dict(zip(table["columns"], map(cell, row), strict=True)) for row in table["data"]]


def no_json(text: str) -> None:
    """JSON has no NaN and no Infinity."""
    raise AssertionError(f"{text} is no JSON")

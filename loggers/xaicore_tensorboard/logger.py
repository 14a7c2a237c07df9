"""The logger `tensorboard`: pictures, curves and a table in TensorBoard's format, without TensorFlow and PyTorch.

    xaicore/<id>/<k>/<method>/<layer>/overlay   heatmap over picture; and heatmap, which is it alone
    xaicore/score/<id>/<k>                      a curve; and raw_score
    xaicore/right                               a curve: the share of pictures that are predicted right
    xaicore/table                               all predictions of a step
    xaicore worst/...                           the same of a group, by rank instead of id, for the ids change
    xaicore/run                                 what the run is about

TensorBoard shows ten steps of a picture, unless it is started with `--samples_per_plugin images=0`.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

# EventFileWriter would import TensorFlow where it is installed, which takes seconds.
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.summary.writer.record_writer import RecordWriter

import xaicore
from xaicore_tensorboard import text

__all__ = ["TensorBoardLogger"]


class TensorBoardLogger(xaicore.Logger):
    """Writes explanations into an event file; `tensorboard --logdir runs` shows them.

    Pictures are on the disk when `log` returns, numbers and the table at the next `flush`, step or `close`. Where a
    step is logged twice, TensorBoard shows the later one (both, with `--load_fast=false`). No step is step 0.

    Args:
        root: a local folder; `runs/<run.name>/xaicore` when None. Best one of its own, for with
            `--load_fast=false` TensorBoard follows the newest event file of a folder only.
        colormap: of overlays and heatmaps.
        alpha: the overlay's opacity at the maximum.

    Raises:
        PluginError: an option is unknown.
        InputError: an option has a value that it cannot have.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        colormap: str = "viridis",
        alpha: float = 0.5,
        **unknown: Any,
    ) -> None:
        if unknown:
            raise xaicore.PluginError(
                f"the tensorboard logger has no option {', '.join(map(repr, unknown))}; known: root, colormap, alpha"
            )
        if root is not None and "://" in str(root):
            raise xaicore.InputError(f"root={str(root)!r}: expected a local folder; copy it to where it is to be")
        # The core knows what it takes; asked now, it spares the user an error in the middle of a run.
        xaicore.overlay.blend(np.zeros((1, 1, 1, 3), np.uint8), np.zeros((1, 1, 1)), colormap, alpha)
        self._root = None if root is None else Path(root).expanduser()
        self._colormap, self._alpha = colormap, alpha
        self._file: BinaryIO | None = None

    def open(self, run: xaicore.Run) -> None:
        """Make the folder and start an event file in it.

        Raises:
            LoggerError: the system refuses.
        """
        folder = Path("runs", text.part(run.name), "xaicore") if self._root is None else self._root
        name = f"events.out.tfevents.{time.time():017.6f}.{socket.gethostname()}.{os.getpid()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / name).open("xb")
        except OSError as exc:
            raise xaicore.LoggerError(f"cannot write into {folder}: {exc.strerror}; pass another root=") from exc
        self._records = RecordWriter(self._file)
        self._step = 0
        self._rows: defaultdict[str, dict[tuple[str, int], dict[str, Any]]] = defaultdict(dict)
        self._write(Event(file_version="brain.Event:2"))
        about = {"name": run.name, "started": run.started, "config": dict(run.config), "versions": dict(run.versions)}
        self._ship(_text("xaicore/run", _code(json.dumps(about, indent=2, default=str))))
        self._file.flush()

    def log(self, explanation: xaicore.Explanation, step: int | None = None) -> None:
        """Write the pictures of an explanation, one image after the other, so that memory stays what it is.

        Raises:
            OSError: the system refuses.
        """
        file = self._opened()
        step = 0 if step is None else int(step)
        if step != self._step:
            self._ship_numbers()
            self._step = step
        group = explanation.group
        head = "xaicore" if group is None else f"xaicore {text.part(group)}"
        for n, name in enumerate(explanation.ids):
            one = explanation.take([n])
            place = text.part(name) if group is None else str(n)
            self._rows[head].update({(place, k): one.row(k) for k in range(len(one))})
            for picture in self._pictures(one, f"{head}/{place}"):
                self._ship(picture)
        file.flush()

    def flush(self) -> None:
        """Write the step's numbers and table; what is written survives the process.

        Raises:
            OSError: the system refuses.
        """
        file = self._opened()
        self._ship_numbers()
        file.flush()

    def close(self) -> None:
        """Write what is left, and close the file.

        Raises:
            OSError: the system refuses.
        """
        with self._opened():
            self._ship_numbers()
        self._file = None

    def _opened(self) -> BinaryIO:
        if self._file is None:
            raise xaicore.LoggerError(
                "the tensorboard logger is not open; write: with xaicore.open_loggers('tensorboard') as log"
            )
        return self._file

    def _pictures(self, one: xaicore.Explanation, place: str) -> Iterator[Summary.Value]:
        """Of one image's targets: nothing where maps are not two-dimensional, no overlays where there is no picture."""
        if one.maps.ndim != 3:
            return
        drawn = {"heatmap": xaicore.overlay.colorize(one.heatmaps(), self._colormap)}
        if one.images is not None:
            drawn["overlay"] = one.overlays(self._colormap, self._alpha)
        how = f"{text.part(one.method)}/{text.part(one.layer)}"
        for kind, pictures in drawn.items():
            for k, picture in enumerate(pictures):
                yield _image(f"{place}/{k}/{how}/{kind}", picture, _caption(one, k))

    def _ship_numbers(self) -> None:
        rows, self._rows = self._rows, defaultdict(dict)
        for head, found in rows.items():
            for (place, k), row in found.items():
                for name in ("score", "raw_score"):
                    if np.isfinite(row[name]):
                        self._ship(Summary.Value(tag=f"{head}/{name}/{place}/{k}", simple_value=row[name]))
            right = [text.is_right(row) for (_, k), row in found.items() if k == 0]
            known = [one for one in right if one is not None]
            if known:
                self._ship(Summary.Value(tag=f"{head}/right", simple_value=sum(known) / len(known)))
            self._ship(_text(f"{head}/table", text.table(list(found.values()))))

    def _ship(self, value: Summary.Value) -> None:
        self._write(Event(step=self._step, summary=Summary(value=[value])))

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())


def _caption(one: xaicore.Explanation, k: int) -> str:
    """What stays the same from step to step, for TensorBoard shows a tag's first caption only."""
    row = one.row(k)
    parts = [f"{one.method} at {one.layer} of {one.model}, {one.target} (k = {k})"]
    if one.group is None:
        parts.insert(0, row["id"])
        parts += [f"truth: {row['truth_name']}"] if row["truth"] is not None else []
    return text.markdown("; ".join(parts))


def _image(tag: str, picture: np.ndarray, caption: str) -> Summary.Value:
    """(H, W, 3) uint8 RGB as a PNG. Of the older `Summary.Image`, TensorBoard would show no caption."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    height, width = picture.shape[:2]
    return _value(tag, "images", caption, str(width).encode(), str(height).encode(), encoded.tobytes())


def _text(tag: str, markdown: str) -> Summary.Value:
    """A text that TensorBoard renders, and cleans of scripts."""
    return _value(tag, "text", "", markdown.encode())


def _value(tag: str, plugin: str, caption: str, *content: bytes) -> Summary.Value:
    """What one of TensorBoard's plugins shows: a string, or several."""
    about = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=plugin), summary_description=caption)
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=len(content))] if len(content) > 1 else [])
    tensor = TensorProto(dtype=DT_STRING, tensor_shape=shape, string_val=content)
    return Summary.Value(tag=tag, metadata=about, tensor=tensor)


def _code(lines: str) -> str:
    return "\n".join(f"    {line}" for line in lines.splitlines())

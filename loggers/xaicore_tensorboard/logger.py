"""The logger `tensorboard`: pictures, curves and a table in TensorBoard's format, without TensorFlow and PyTorch.

    xaicore/<id>/<k>/<method>/<layer>/overlay   heatmap over picture
    xaicore/<id>/<k>/<method>/<layer>/heatmap   the heatmap alone
    xaicore/score/<id>/<k>                      a curve; and raw_score
    xaicore/right                               a curve: the share of pictures that are predicted right
    xaicore/table                               all predictions of a step
    xaicore/run                                 what the run is about

Tags of a group begin with "xaicore <group>" and have ranks instead of ids, because its ids change from step to
step. TensorBoard shows ten steps of a picture, unless it is started with `--samples_per_plugin images=0`.
"""

from __future__ import annotations

import os
import shlex
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# EventFileWriter would import TensorFlow where it is installed, which takes seconds.
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.summary.writer.record_writer import RecordWriter

import xaicore
from xaicore import show
from xaicore_tensorboard import text

__all__ = ["TensorBoardLogger"]


class TensorBoardLogger(xaicore.Tracker):
    """Writes explanations into an event file; `tensorboard --logdir runs` shows them.

    Pictures are on the disk when `log` returns, numbers and the table at the next `flush`, step or `close`. Where a
    step is logged twice, TensorBoard shows the later one (both, with `--load_fast=false`). Without a step, it is 0.

    Args:
        root: a local folder; `runs/<run.name>/xaicore` when None. Use a folder without other event files: with
            `--load_fast=false`, TensorBoard follows only the newest of a folder.
        drawing: `colormap`, `alpha`, `outline` and `diverging` as in `xaicore.Drawing`.

    Raises:
        InputError: the root is no local folder, or an option of drawing is out of range.
        PluginError: an option is unknown.
    """

    name = "tensorboard"
    no_step = 0

    def __init__(self, root: str | os.PathLike[str] | None = None, **drawing: Any) -> None:
        super().__init__(**drawing)
        if root is not None and "://" in str(root):
            raise xaicore.InputError(f"root={str(root)!r}: expected a local folder; copy it to where it is to be")
        self._root = None if root is None else Path(root).expanduser()

    def connect(self, run: xaicore.Run) -> None:
        """Make the folder and start an event file in it.

        Raises:
            LoggerError: the system refuses.
        """
        folder = Path("runs", text.tag_part(run.name), "xaicore") if self._root is None else self._root
        name = f"events.out.tfevents.{time.time():017.6f}.{socket.gethostname()}.{os.getpid()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / name).open("xb")
        except OSError as exc:
            raise xaicore.LoggerError(f"cannot write into {folder}: {exc.strerror}; pass another root=") from exc
        self.where = f"tensorboard --logdir {shlex.quote(str(self._root or 'runs'))} --samples_per_plugin images=0"
        self._records = RecordWriter(self._file)
        self._write(Event(file_version="brain.Event:2"))
        self._add(0, _text("xaicore/run", text.code(run.to_json())))

    def log_map(self, row: dict[str, Any], images: Mapping[str, np.ndarray]) -> None:
        """Write the pictures of a map."""
        source = f"{text.tag_part(row['method'])}/{text.tag_part(row['layer'])}"
        for kind in ("heatmap", "overlay"):
            if kind in images:
                self._add(row["step"], _image(f"{text.tag(row)}/{source}/{kind}", images[kind], text.caption(row)))

    def log_step(self, step: int | None, rows: Sequence[dict[str, Any]]) -> None:
        """Write curves and tables, in which several methods share a row; they stay if the process is killed."""
        for group, of_group in show.by_group(rows).items():
            shared = show.by_target(of_group)
            for row in shared:
                for kind, value in show.scores(row).items():
                    self._add(step, Summary.Value(tag=text.tag(row, kind), simple_value=value))
            right = show.mean(shared, "right")
            if right is not None:
                self._add(step, Summary.Value(tag=f"{text.prefix(group)}/right", simple_value=right))
            self._add(step, _text(f"{text.prefix(group)}/table", text.table(shared)))

    def disconnect(self) -> None:
        """Close the file."""
        self._file.close()

    def _add(self, step: int | None, value: Summary.Value) -> None:
        self._write(Event(step=step, summary=Summary(value=[value])))

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
        self._file.flush()


def _image(tag: str, picture: np.ndarray, caption: str) -> Summary.Value:
    """(H, W, 3) uint8 RGB as a PNG. TensorBoard shows no caption of the older `Summary.Image`."""
    height, width = picture.shape[:2]
    return _value(tag, "images", caption, str(width).encode(), str(height).encode(), show.png(picture))


def _text(tag: str, markdown: str) -> Summary.Value:
    """A text that TensorBoard renders, and cleans of scripts."""
    return _value(tag, "text", "", markdown.encode())


def _value(tag: str, plugin: str, caption: str, *content: bytes) -> Summary.Value:
    """A value that one of TensorBoard's plugins shows: a string, or several."""
    about = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=plugin), summary_description=caption)
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=len(content))] if len(content) > 1 else [])
    tensor = TensorProto(dtype=DT_STRING, tensor_shape=shape, string_val=content)
    return Summary.Value(tag=tag, metadata=about, tensor=tensor)

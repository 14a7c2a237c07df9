"""The logger `trackio`: images, curves and a table in Trackio's database on this machine.

xaicore/<id>/<k>/<method>/<layer>/overlay   heatmap over picture
xaicore/<id>/<k>/<method>/<layer>/heatmap   the heatmap alone
xaicore/<id>/<k>/score                      a curve; and raw_score
xaicore/right                               a curve: the share of pictures that are predicted right
xaicore/table                               all rows of a step
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import xaicore
from xaicore import show

__all__ = ["COLUMNS", "TrackioLogger"]

COLUMNS = ("id", "k", "target", "target_name", "score", "predicted", "predicted_name", "truth_name", "method", "layer")
"""Keys of a row in the table. Rows gain keys in later versions of xaicore; the table's columns stay."""


class TrackioLogger(xaicore.Tracker):
    """Logs explanations to a Trackio run of its own: one that the program has open is neither used nor finished.

    Trackio appends. Where a step is logged twice, the last entry of the step is what counts.

    Args:
        project: Trackio's project; all of them lie in the folder that the environment variable TRACKIO_DIR names.
        drawing: `colormap`, `alpha`, `outline` and `diverging` as in `xaicore.Drawing`.

    Raises:
        PluginError: an option is unknown.
        InputError: an option of drawing is out of range.
    """

    name = "trackio"

    def __init__(self, project: str = "xaicore", **drawing: Any) -> None:
        super().__init__(**drawing)
        self.project = project

    def connect(self, run: xaicore.Run) -> None:
        """Start a run.

        Raises:
            LoggerError: Trackio's folder cannot be written, or it refuses the project's name.
        """
        import trackio

        folder = trackio.utils.TRACKIO_DIR
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise xaicore.LoggerError(
                f"{folder} cannot be made: {exc.strerror}; set TRACKIO_DIR to another folder"
            ) from exc
        if not os.access(folder, os.W_OK):
            raise xaicore.LoggerError(f"{folder} cannot be written: set TRACKIO_DIR to another folder")
        try:
            trackio.SQLiteStorage.validate_project_name(self.project)
            # Not `trackio.init`, which would finish the run that the program has open.
            self._run = trackio.Run(
                None, self.project, None, name=show.safe_name(run.name), config={"xaicore": run.to_json()}
            )
        except ValueError as exc:
            raise xaicore.LoggerError(f"project={self.project!r}: {exc}") from exc
        self._trackio, self._images = trackio, dict[str, np.ndarray]()
        self.where = f'trackio show --project "{show.safe_name(self.project)}"'

    def log_map(self, row: dict[str, Any], images: Mapping[str, np.ndarray]) -> None:
        """Keep the images until the step is complete: Trackio has one entry per step."""
        key = f"{_key(row)}/{show.safe_name(row['method'])}/{show.safe_name(row['layer'])}"
        for kind in ("overlay", "heatmap"):
            if kind in images:
                self._images[f"{key}/{kind}"] = images[kind], show.caption(row)

    def log_step(self, step: int | None, rows: Sequence[dict[str, Any]]) -> None:
        """Send an entry: images, curves, and the table."""
        images, self._images = self._images, {}
        entry = {key: self._trackio.Image(image, caption=caption) for key, (image, caption) in images.items()}
        for row in show.by_target(rows):
            entry |= {f"{_key(row)}/{kind}": value for kind, value in show.scores(row).items()}
        for group, of_group in show.by_group(rows).items():
            right = show.mean(of_group, "right")
            if right is not None:
                entry[f"{_prefix(group)}/right"] = right
        entry["xaicore/table"] = self._trackio.Table(
            data=[{name: _cell(row[name]) for name in COLUMNS} for row in rows]
        )
        self._run.log(entry, step)

    def disconnect(self) -> None:
        """Finish the run; what was sent is in the database when this returns."""
        self._run.finish()


def _prefix(group: str | None) -> str:
    return "xaicore" if group is None else f"xaicore {show.safe_name(group)}"


def _key(row: Mapping[str, Any]) -> str:
    return f"{_prefix(row['group'])}/{show.safe_name(str(show.image_name(row)))}/{row['k']}"


def _cell(value: Any) -> Any:
    """Trackio shows texts as Markdown: names that somebody else chose are made harmless."""
    return show.safe_name(value) if isinstance(value, str) else show.finite(value) if value is not None else None

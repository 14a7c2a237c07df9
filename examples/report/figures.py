"""The figures of docs/report.md, from the folder of a run.

python -m examples.report.figures runs/report-torch-... docs
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np

SIDE, GAP = 150, 4
WHITE = 255

Row = dict[str, Any]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(run: Path, out: Path) -> None:
    """Write report-several.jpg, report-both.jpg and report-wrong.jpg: per picture, a line with its photo and overlays.

    RUN is the folder of a run of the report without --data, OUT the folder for the figures.
    """
    rows = [json.loads(line) for line in (run / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    cam = select(rows, method="cam")
    last_cam = max(row["step"] for row in cam)
    last_dense = min(row["step"] for row in cam) - 1
    dense = select(rows, step=last_dense)
    fixed = select(dense, group=None) + select(cam, step=last_cam, group=None)
    write(out / "report-several.jpg", run, [row for row in fixed if shows_two_of_target(row)])
    write(out / "report-both.jpg", run, select(dense, group=None, truth=None))
    worst = select(dense, group="worst")
    write(out / "report-wrong.jpg", run, [row for row in worst if row["truth"] != row["predicted"]])


def shows_two_of_target(row: Row) -> bool:
    """Whether the row's picture shows two animals, both of the explained class."""
    return " and " in row["id"] and row["truth"] == row["target"]


def select(rows: Iterable[Row], **values: Any) -> list[Row]:
    """The rows that have these values."""
    return [row for row in rows if all(row[name] == value for name, value in values.items())]


def write(path: Path, run: Path, rows: Sequence[Row]) -> None:
    """Write a sheet with one line per picture: the photo, then the overlays of its rows. Write nothing without rows."""
    if not rows:
        return
    lines = {row["id"]: [row["picture"]] for row in rows}
    for row in rows:
        lines[row["id"]].append(row["overlay"])
    height, width = (n * (SIDE + GAP) - GAP for n in (len(lines), max(map(len, lines.values()))))
    sheet = np.full((height, width, 3), WHITE, np.uint8)
    for i, names in enumerate(lines.values()):
        for j, name in enumerate(names):
            y, x = i * (SIDE + GAP), j * (SIDE + GAP)
            picture = cv2.imread(str(run / name))
            sheet[y : y + SIDE, x : x + SIDE] = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(path), sheet, [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()

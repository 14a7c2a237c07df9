"""The pictures of docs/report.md, from the folder of a run.

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
    """Write report-several.jpg, report-both.jpg and report-wrong.jpg: photo and overlays, a picture a line.

    RUN is the folder of a run that watched cat and dog, OUT a folder.
    """
    rows = [json.loads(line) for line in (run / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    cam = kept(rows, method="cam")
    last_cam = max(row["step"] for row in cam)
    last_dense = min(row["step"] for row in cam) - 1
    dense = kept(rows, step=last_dense)
    of_one_class = kept(dense, group=None) + kept(cam, step=last_cam, group=None)
    of_one_class = [row for row in of_one_class if " and " in row["id"] and row["truth"] == row["target"]]
    write(out / "report-several.jpg", run, of_one_class)
    write(out / "report-both.jpg", run, kept(dense, group=None, truth=None))
    write(
        out / "report-wrong.jpg", run, [row for row in kept(dense, group="worst") if row["truth"] != row["predicted"]]
    )


def kept(rows: Iterable[Row], **values: Any) -> list[Row]:
    """The rows that have these values."""
    return [row for row in rows if all(row[name] == value for name, value in values.items())]


def write(path: Path, run: Path, rows: Sequence[Row]) -> None:
    """A line a picture: the photo, then the overlays of its rows. Nothing where there are none."""
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

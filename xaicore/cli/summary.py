"""What `xaicore explain` prints at the end: a table of the first rows, counts of all of them, and where results are."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from rich.console import Console, JustifyMethod
from rich.table import Table

from xaicore.cli.chance import Chance
from xaicore.cli.screen import console, count, new_table, remark, text
from xaicore.explanation import Explanation
from xaicore.show.words import verdict

__all__ = ["ROWS", "Summary", "report"]

ROWS = 40
"""Rows that are kept and shown; of the rest only counts are kept, so that memory stays flat."""


class Summary:
    """What was explained so far.

    Attributes:
        pictures: how many.
        known: of how many of them the true class and a prediction are known.
        right: how many of these were predicted right.
        empty: maps without evidence.
        rows: one for each shown picture and target.
        chance: the best probability of a predicted class.
    """

    def __init__(self) -> None:
        self.pictures = self.known = self.right = self.empty = self.count = 0
        self.rows: list[dict[str, str]] = []
        self.chance = Chance()

    def add(self, explanations: Mapping[str, Explanation]) -> None:
        """One batch, explained by one or more methods from the same capture."""
        first = next(iter(explanations.values()))
        self.pictures += len(first.ids)
        self.count += len(first)
        self.empty += sum(int(explanation.empty.sum()) for explanation in explanations.values())
        known = [right for right in first.right if right is not None]
        self.known += len(known)
        self.chance.add(first)
        self.right += sum(known)
        room = ROWS - len(self.rows)
        if room > 0:
            self.rows += _rows(explanations, room)

    def table(self) -> Table:
        """The rows; columns that would be empty are left out, and a folder that all share is in the heading."""
        folder = _shared_folder([row["file"] for row in self.rows])
        table = new_table()
        shown = [key for key in self.rows[0] if any(row[key] for row in self.rows)]
        for key in shown:
            heading = f"file in {folder}" if key == "file" and folder else key
            wraps = key in ("file", "truth", "prediction", "explained")
            justify: JustifyMethod = "right" if key == "score" else "left"
            table.add_column(text(heading), overflow="fold", no_wrap=not wraps, justify=justify)
        styles = {"right": "green", "wrong": "bold red"}
        for row in self.rows:
            row = {**row, "file": posixpath.relpath(row["file"], folder) if folder else row["file"]}
            table.add_row(*(text(row[key], styles.get(row[key], "") if key == "verdict" else "") for key in shown))
        return table

    @property
    def more(self) -> int:
        """Rows that the table leaves out."""
        return self.count - len(self.rows)


def report(
    summary: Summary,
    screen: Console,
    title: str,
    skipped: int,
    failed: Mapping[str, Exception],
    where: Iterable[str],
) -> None:
    """Print the table and the closing lines; after a failure, those of what was explained so far.

    Args:
        summary: what was explained.
        screen: the console of stderr.
        title: the methods and the layer.
        skipped: pictures that could not be read.
        failed: {logger: error} of the loggers that were switched off.
        where: where the results can be seen.
    """
    if not summary.pictures:
        return
    table = console()
    table.print(summary.table())
    if summary.more:
        remark(table, f"... and {summary.more} more\n")
    remark(table, f"{count(summary.pictures, 'picture')} explained: {title}")
    if summary.known:
        remark(table, f"{summary.right} of {summary.known} right")
    if summary.empty:
        remark(table, f"{count(summary.empty, 'map')} without evidence")
    if str(summary.chance):
        remark(screen, str(summary.chance), "yellow")
    if skipped:
        remark(screen, f"{count(skipped, 'picture')} skipped", "yellow")
    for name, exc in failed.items():
        remark(screen, f"logger {name!r} was switched off: {exc}", "bold red")
    for line in where:
        remark(table, line, "bold")


def _rows(explanations: Mapping[str, Explanation], room: int) -> list[dict[str, str]]:
    """At most `room` rows. The explained class has a column of its own where it is not the prediction."""
    first = next(iter(explanations.values()))
    per_image = len(first) // len(first.ids)
    images = slice(0, -(-room // per_image))
    shown = {name: explanation.take(images) for name, explanation in explanations.items()}
    boxes = {name: (explanation.boxes(), explanation.empty) for name, explanation in shown.items()}
    first = next(iter(shown.values()))
    rows = []
    for m in range(min(len(first), room)):
        row = first.row(m)
        rows.append(
            {
                "file": row["id"],
                "truth": row["truth_name"] or "",
                "prediction": row["predicted_name"] or "",
                "explained": "" if row["target"] == row["predicted"] and per_image == 1 else row["target_name"],
                "score": f"{row['score']:.3f}",
                **{f"box {name}": _box(boxes_[m], bool(empty[m])) for name, (boxes_, empty) in boxes.items()},
                "verdict": verdict(row["right"]),
            }
        )
    return rows


def _shared_folder(files: Sequence[str]) -> str:
    folders = [posixpath.dirname(file) for file in files]
    if len({folder.startswith("/") for folder in folders}) > 1:  # absolute and relative ones
        return ""
    return posixpath.commonpath(folders)


def _box(corners: np.ndarray, empty: bool) -> str:
    x0, y0, x1, y1 = corners
    if empty:
        return "no evidence"
    return f"{x0},{y0}-{x1},{y1}" if x1 > x0 else "all against"  # of a signed map

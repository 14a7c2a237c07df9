"""Tags, captions and tables made of untrusted text: ids, names of classes, layers and methods."""

from __future__ import annotations

import functools
import html
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from xaicore import show

__all__ = ["caption", "code", "head", "markdown", "part", "table", "tag"]

MARKUP = re.compile(r"[\\`*_{}\[\]()#+\-.!|]")
COLUMNS = ("id", "k", "target", "score", "raw score", "prediction", "truth", "right")

part = functools.partial(show.safe_name, length=60, allowed=r"\w.+ -")
"""One part of a tag, without slashes."""


def head(group: str | None) -> str:
    """The first part of all tags of a group: one of TensorBoard's sections."""
    return "xaicore" if group is None else f"xaicore {part(group)}"


def tag(row: Mapping[str, Any], *kind: str) -> str:
    """The tag of a kind of curve, such as "score", of a row's image and target; in a group, rank stands for id."""
    place = part(row["id"]) if row["slot"] is None else str(row["slot"])
    return "/".join((head(row["group"]), *kind, place, str(row["k"])))


def markdown(text: str) -> str:
    """Markdown that shows the text as it is, on one line, also in a table's cell."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return MARKUP.sub(r"\\\g<0>", html.escape(line, quote=False))


def code(lines: str) -> str:
    """Markdown that shows the lines as they are."""
    return "\n".join(f"    {line}" for line in lines.splitlines())


def caption(row: Mapping[str, Any]) -> str:
    """What stays the same from step to step, for TensorBoard shows a tag's first caption only."""
    parts = [f"{row['method']} at {row['layer']} of {row['model']}, {row['asked']} (k = {row['k']})"]
    if row["group"] is None:
        parts.insert(0, row["id"])
        parts += [f"truth: {row['truth_name']}"] if row["truth"] is not None else []
    return markdown("; ".join(parts))


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows of explanations as a table in Markdown."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    target, predicted, truth = (markdown(row[f"{name}_name"] or "") for name in ("target", "predicted", "truth"))
    score, raw_score = (f"{row[name]:.4g}" if math.isfinite(row[name]) else "" for name in ("score", "raw_score"))
    return markdown(row["id"]), str(row["k"]), target, score, raw_score, predicted, truth, show.verdict(row["right"])

"""Tags, captions and tables made from untrusted text: ids, names of classes, layers and methods."""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Iterable, Mapping
from typing import Any

from xaicore import show

__all__ = ["caption", "code", "markdown", "prefix", "table", "tag", "tag_part"]

MARKUP = re.compile(r"[\\`*_{}\[\]()#+\-.!|]")
COLUMNS = ("id", "k", "target", "score", "raw score", "prediction", "truth", "right")

tag_part = functools.partial(show.safe_name, length=60, allowed=r"\w.+ -")
"""One part of a tag, without slashes."""


def prefix(group: str | None) -> str:
    """The first part of all tags of a group: one of TensorBoard's sections."""
    return "xaicore" if group is None else f"xaicore {tag_part(group)}"


def tag(row: Mapping[str, Any], *kind: str) -> str:
    """The tag of a row's image and target, for a kind of curve such as "score"; in a group, a rank replaces the id."""
    return "/".join((prefix(row["group"]), *kind, tag_part(show.image_name(row)), str(row["k"])))


def markdown(text: str) -> str:
    """Markdown that shows the text as it is, on one line, also in a table's cell."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return MARKUP.sub(r"\\\g<0>", html.escape(line, quote=False))


def code(lines: str) -> str:
    """Markdown that shows the lines as they are."""
    return "\n".join(f"    {line}" for line in lines.splitlines())


def caption(row: Mapping[str, Any]) -> str:
    """What stays the same from step to step, because TensorBoard shows a tag's first caption only."""
    facts = [f"{row['method']} at {row['layer']} of {row['model']}, {row['asked']} (k = {row['k']})"]
    if row["group"] is None:
        facts.insert(0, row["id"])
        facts += [f"truth: {row['truth_name']}"] if row["truth"] is not None else []
    facts += filter(None, [show.views(row)])
    return markdown("; ".join(facts))


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows of explanations as a table in Markdown."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    target, predicted, truth = (markdown(row[f"{name}_name"] or "") for name in ("target", "predicted", "truth"))
    finite = {name: f"{value:.4g}" for name, value in show.scores(row).items()}
    scores = finite.get("score", ""), finite.get("raw_score", "")
    return markdown(row["id"]), str(row["k"]), target, *scores, predicted, truth, show.verdict(row["right"])

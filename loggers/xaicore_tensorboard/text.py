"""Tags and tables made of text that nobody vouches for: ids, names of classes, layers and methods."""

from __future__ import annotations

import hashlib
import html
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["is_right", "markdown", "part", "table"]

UNSAFE = re.compile(r"[^\w.+ -]+")
HASHED = re.compile(r"-[0-9a-f]{16}$")
MARKUP = re.compile(r"[\\`*_{}\[\]()#+\-.!|]")
COLUMNS = ("id", "k", "target", "score", "raw score", "prediction", "truth", "right")


def part(text: str) -> str:
    """One part of a tag, without slashes: the text where it is harmless, else what is and a hash of it all."""
    safe = UNSAFE.sub("_", text)[-60:].strip()
    if safe == text and text and not HASHED.search(text):
        return text
    return f"{safe}-{hashlib.blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"


def markdown(text: str) -> str:
    """Markdown that shows the text as it is, on one line, also in a table's cell."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return MARKUP.sub(r"\\\g<0>", html.escape(line, quote=False))


def is_right(row: Mapping[str, Any]) -> bool | None:
    """Whether the prediction is the truth; None where one of them is unknown."""
    known = row["predicted"] is not None and row["truth"] is not None
    return row["predicted"] == row["truth"] if known else None


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of explanations as a table in Markdown."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    names = (markdown(row[name] or "") for name in ("target_name", "predicted_name", "truth_name"))
    score, raw_score = (f"{row[name]:.4g}" if math.isfinite(row[name]) else "" for name in ("score", "raw_score"))
    target, predicted, truth = names
    right = {True: "right", False: "wrong", None: ""}[is_right(row)]
    return markdown(row["id"]), str(row["k"]), target, score, raw_score, predicted, truth, right

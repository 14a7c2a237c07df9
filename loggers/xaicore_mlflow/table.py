"""Names that MLflow takes, made of untrusted text, and a step's predictions as CSV."""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Iterable, Mapping
from typing import Any

from xaicore import show

__all__ = ["head", "images_key", "metric_key", "part", "to_csv"]

COLUMNS = (
    *("group", "id", "predicted_name", "truth_name", "right", "k", "target_name", "score", "raw_score", "empty"),
    *("method", "layer", "predicted", "truth", "target", "images"),
)

part = functools.partial(show.safe_name, length=36, allowed="A-Za-z0-9_.-")
"""One part of a key, without slashes.

MLflow makes names of files from keys and puts a hundred letters after them; a name has 255 at most.
"""


def head(group: str | None) -> str:
    """The first part of all keys of a group."""
    return "xaicore" if group is None else f"xaicore-{part(group, length=16)}"


def place(row: Mapping[str, Any]) -> str:
    """The part of a key that names the image: its id, or its rank in a group."""
    return part(row["id"]) if row["slot"] is None else str(row["slot"])


def images_key(row: Mapping[str, Any], kind: str) -> str:
    """The key of a map's images of a kind: "overlay", "heatmap", or "*" for both."""
    how = f"{part(row['method'], length=16)} {part(row['layer'], length=24)}"
    return f"{head(row['group'])}/{place(row)}/{kind} {row['k']} {how}"


def metric_key(row: Mapping[str, Any], name: str) -> str:
    """The key of a number of a row's image and target."""
    return f"{head(row['group'])}/{name}/{place(row)} {row['k']}"


def to_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows of explanations under a line with the columns' names; `images` are the keys, * for overlay or heatmap."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "images": images_key(row, "*")} for row in rows)
    return show.escape_surrogates(file.getvalue())

"""Keys that MLflow accepts, made from untrusted text, and a step's predictions as CSV."""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Iterable, Mapping
from typing import Any

from xaicore import show

__all__ = ["images_key", "key_part", "metric_key", "prefix", "to_csv"]

COLUMNS = (
    *("group", "id", "predicted_name", "truth_name", "right", "k", "target_name", "score", "raw_score", "empty"),
    *("method", "layer", "predicted", "truth", "target", "images", "views"),
)

key_part = functools.partial(show.safe_name, length=36, allowed="A-Za-z0-9_.-")
"""One part of a key, without slashes.

MLflow names files after keys and appends up to a hundred characters; a file name has 255 at most.
"""


def prefix(group: str | None) -> str:
    """The first part of all keys of a group."""
    return "xaicore" if group is None else f"xaicore-{key_part(group, length=16)}"


def images_key(row: Mapping[str, Any], kind: str) -> str:
    """The key of a map's images of a kind: "overlay", "heatmap", or "*" for both."""
    source = f"{key_part(row['method'], length=16)} {key_part(row['layer'], length=24)}"
    return f"{prefix(row['group'])}/{_image(row)}/{kind} {row['k']} {source}"


def metric_key(row: Mapping[str, Any], name: str) -> str:
    """The key of a number of a row's image and target."""
    return f"{prefix(row['group'])}/{name}/{_image(row)} {row['k']}"


def to_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows of explanations under a line with the columns' names.

    `images` are the keys, * for overlay or heatmap; `views` is what these show from left to right.
    """
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "images": images_key(row, "*"), "views": show.views(row)} for row in rows)
    return show.escape_surrogates(file.getvalue())


def _image(row: Mapping[str, Any]) -> str:
    return key_part(show.image_name(row))

"""Rows of a step, dicts as `Explanation.row` gives them: which image each is of, and means over images."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

__all__ = ["by_group", "image_key", "map_key", "mean"]

Row = Mapping[str, Any]


def image_key(row: Row) -> tuple[Hashable, ...]:
    """What identifies a row's image within a step: its id, or its position in a group, whose ids change."""
    return row["group"], row["id"] if row["slot"] is None else row["slot"]


def map_key(row: Row) -> tuple[Hashable, ...]:
    """What identifies a row's map within a step; a later row with the same key replaces the earlier one."""
    return *image_key(row), row["method"], row["layer"], row["k"]


def by_group(rows: Iterable[Row]) -> dict[str | None, list[Row]]:
    """The rows of each group, in order; None is the group of images that their ids tell apart."""
    groups: dict[str | None, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["group"], []).append(row)
    return groups


def mean(rows: Iterable[Row], name: str) -> float | None:
    """The mean over images of a value of their first target, such as "right" or "score".

    Each image counts once, however many methods explain it. None if no image has a finite value.
    """
    first = ((image_key(row), row[name]) for row in rows if row["k"] == 0)
    known = {image: value for image, value in first if value is not None and math.isfinite(value)}
    return sum(known.values()) / len(known) if known else None

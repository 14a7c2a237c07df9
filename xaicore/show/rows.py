"""Rows of a step, dicts as `Explanation.row` gives them: which image each is of, scores, and means over images."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

__all__ = ["by_group", "by_target", "image_key", "image_name", "map_key", "mean", "scores"]

Row = Mapping[str, Any]


def image_key(row: Row) -> tuple[Hashable, ...]:
    """What identifies a row's image within a step: its id, or its position in a group, whose ids change."""
    return row["group"], row["id"] if row["slot"] is None else row["slot"]


def image_name(row: Row) -> str:
    """What names a row's image in a key or tag: its id, or its position in a group, whose ids change."""
    return row["id"] if row["slot"] is None else str(row["slot"])


def map_key(row: Row) -> tuple[Hashable, ...]:
    """What identifies a row's map within a step; a later row with the same key replaces the earlier one."""
    return *image_key(row), row["method"], row["layer"], row["k"]


def by_group(rows: Iterable[Row]) -> dict[str | None, list[Row]]:
    """The rows of each group, in order; None is the group of images that their ids tell apart."""
    groups: dict[str | None, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["group"], []).append(row)
    return groups


def by_target(rows: Iterable[Row]) -> list[Row]:
    """One row per image and target, the last one, for what does not depend on the method, such as scores."""
    return list({(*image_key(row), row["k"]): row for row in rows}.values())


def scores(row: Row) -> dict[str, float]:
    """A row's "score" and "raw_score", those that are finite."""
    return {name: row[name] for name in ("score", "raw_score") if math.isfinite(row[name])}


def mean(rows: Iterable[Row], name: str) -> float | None:
    """The mean over images of a value of their first target, such as "right" or "score".

    Each image counts once, however many methods explain it. None if no image has a finite value.
    """
    first = ((image_key(row), row[name]) for row in rows if row["k"] == 0)
    known = {image: value for image, value in first if value is not None and math.isfinite(value)}
    return sum(known.values()) / len(known) if known else None

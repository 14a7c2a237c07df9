"""Tokens that are objects: a detector's decoder has as many as it returns boxes or masks."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from xaicore.facts import Facts
from xaicore.layers.grid import Grid
from xaicore.outputs import boxes_among

__all__ = ["without_queries"]


def without_queries(grids: Mapping[str, Grid], facts: Facts) -> dict[str, Grid]:
    """The grids, without those of as many tokens as the model returns boxes or masks.

    300 queries fit a grid of 15 x 20, which is also that of a picture of 480 x 640 pixels: where an encoder's tokens
    are as many, nothing tells them from a decoder's.
    """
    objects = _objects(facts.outputs)
    return {name: grid for name, grid in grids.items() if "l" not in grid.axes or _count(grid) not in objects}


def _objects(outputs: Mapping[int | str, tuple[int, ...]]) -> set[int]:
    """How many boxes (N, Q, 4), or masks (N, Q, h, w) beside class scores (N, Q, C), a model returns."""
    boxes = {outputs[name][-2] for name in boxes_among(outputs) if len(outputs[name]) > 2}
    rows = {shape[:2] for shape in outputs.values() if len(shape) == 3}
    return boxes | {shape[1] for shape in outputs.values() if len(shape) == 4 and shape[:2] in rows}


def _count(grid: Grid) -> int:
    return grid.prefix + prod(grid.size) + grid.suffix

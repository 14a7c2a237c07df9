"""How much of a method's positive evidence lies where it should: the grid pointing game (Boehle et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

import xaicore

__all__ = ["Mosaic", "mosaics", "share_in_cells"]

Mosaic = tuple[np.ndarray, list[int]]
"""A picture of four, (2 S, 2 S, 3) uint8 RGB, and their classes: upper left, upper right, lower left, lower right."""


def mosaics(pictures: Sequence[np.ndarray], classes: Sequence[int]) -> list[Mosaic]:
    """Mosaics of four pictures (S, S, 3) each, in their order; the rest is left out."""
    found = []
    for start in range(0, len(pictures) - 3, 4):
        a, b, c, d = pictures[start : start + 4]
        picture = np.concatenate([np.concatenate([a, b], axis=1), np.concatenate([c, d], axis=1)])
        found.append((picture, list(classes[start : start + 4])))
    return found


def share_in_cells(
    explainer: xaicore.Explainer, given: Sequence[Mosaic], prepare: Callable[[np.ndarray], np.ndarray]
) -> float:
    """The mean share of the positive evidence for a photograph's class in its cell; 0 for a map without evidence.

    Args:
        explainer: of one method.
        given: the mosaics.
        prepare: turns a picture (H, W, 3) uint8 into an input (1, ...).
    """
    shares = []
    for picture, classes in given:
        heatmaps = np.maximum(explainer(prepare(picture), [classes]).heatmaps(picture.shape[:2], normalize="none"), 0)
        half = len(picture) // 2
        cells = heatmaps.reshape(4, 2, half, 2, half).sum(axis=(2, 4), dtype=np.float64)  # (class, row, column)
        for k in range(4):
            whole = cells[k].sum()
            shares.append(cells[k, k // 2, k % 2] / whole if whole > 0 else 0.0)
    return float(np.mean(shares))

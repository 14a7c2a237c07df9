"""How much of each map's evidence lies in the true boxes: the energy-based pointing game (Wang et al. 2020)."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore.errors import InputError
from xaicore.localize.explained import Explained
from xaicore.localize.truth import TrueBoxes, read_boxes, read_classes

__all__ = ["evidence_in", "evidence_of", "inside", "picture_size", "shares"]


def shares(explanation: Explained, true_boxes: Any, *, classes: Any = None) -> np.ndarray:
    """The share of each row's positive evidence that lies in the true boxes of its class: (M,) float64.

    nan where the image has no such box; 0 for a map without evidence. A uniform map has the boxes' share of the area.

    Args:
        explanation: of N images, two-dimensional maps.
        true_boxes: as for `evaluate`.
        classes: as for `evaluate`.

    Raises:
        InputError: the maps are not two-dimensional, or the boxes or classes do not fit the explanation.
    """
    boxes = read_boxes(true_boxes, explanation.ids, picture_size(explanation))
    true = TrueBoxes(boxes, read_classes(classes, boxes, explanation.truth, explanation.ids))
    found = np.full(len(explanation.maps), np.nan)
    for m, (n, target) in enumerate(zip(explanation.image_index, explanation.targets, strict=True)):
        of_row = true.of(int(n), int(target))
        if len(of_row):
            evidence = evidence_of(explanation, m)
            found[m] = evidence_in(evidence, inside(evidence.shape, of_row))
    return found


def evidence_of(explanation: Explained, m: int) -> np.ndarray:
    """The positive evidence of row m over the picture, (H, W), in the method's own scale, where nothing is clipped."""
    return np.maximum(explanation.heatmap(m, "none"), 0)


def evidence_in(evidence: np.ndarray, area: np.ndarray) -> float:
    """The share of evidence (H, W) in an area (H, W) bool; 0 where there is no evidence."""
    total = float(evidence.sum(dtype=np.float64))
    return float(evidence[area].sum(dtype=np.float64)) / total if total > 0 else 0.0


def inside(size: tuple[int, ...], boxes: np.ndarray) -> np.ndarray:
    """The pixels (H, W) bool that boxes (B, 4) cover."""
    covered = np.zeros(size, bool)
    for x0, y0, x1, y1 in boxes:
        covered[y0:y1, x0:x1] = True
    return covered


def picture_size(explanation: Explained) -> tuple[int, int]:
    """The height and width of the pictures that boxes lie in.

    Raises:
        InputError: this is no explanation, or its maps are not one two-dimensional map per row.
    """
    if not isinstance(getattr(explanation, "maps", None), np.ndarray):
        raise InputError(
            f"evaluate() of a {type(explanation).__name__}: expected an Explanation; for those of compare(), evaluate "
            "each of its values"
        )
    if explanation.views > 1 or explanation.form != "picture":
        views = f", {explanation.views} views per image" if explanation.views > 1 else ""
        raise InputError(
            f"maps of shape {explanation.maps.shape[1:]}{views}: boxes are of one two-dimensional map (H, W) per row"
        )
    height, width = explanation.heatmap(0, "none").shape
    return height, width

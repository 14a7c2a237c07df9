"""Localisation as the papers measure it, for the maps of an explanation and the true boxes of its images."""

from __future__ import annotations

from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from xaicore.errors import InputError
from xaicore.localize.explained import Explained
from xaicore.localize.intervals import check_confidence
from xaicore.localize.localization import Localization
from xaicore.localize.overlap import check_min_iou, iou, match
from xaicore.localize.places import all_boxes, check_components, check_threshold, masks, points
from xaicore.localize.ranks import wrong_in_top
from xaicore.localize.shares import evidence_in, evidence_of, inside, picture_size
from xaicore.localize.truth import TrueBoxes, read_boxes, read_classes

__all__ = ["evaluate"]


def evaluate(
    explanation: Explained,
    true_boxes: Any,
    *,
    classes: Any = None,
    threshold: float = 0.2,
    components: int | None = None,
    min_iou: float = 0.5,
    tolerance: float = 0,
    confidence: float = 0.95,
) -> Localization:
    """Compare maps with true boxes: localisation errors, pointing game, share of evidence, several instances.

    A row counts if its image has a true box of the class that the row explains; with several such boxes, one hit is
    enough. Explain the true classes, `targets="truth"`, and every row counts.

    - GT-known localisation error: the box of the map's largest component overlaps no true box by `min_iou`.
    - Top-1 and top-5 localisation error (Russakovsky et al. 2015; Zhou et al. 2016): the same, or the true class is not
      the predicted one, or not among the five with the highest scores. Known where the explanation has the true classes
      that are among these; an image of several classes needs one of them to be right.
    - Pointing game (Zhang et al. 2016, 2018): the maximum lies in a true box. The paper allows 15 pixels beside it,
      `tolerance=15`, and averages over classes; this is the average over rows.
    - Share of evidence in the true boxes (the energy-based pointing game, Wang et al. 2020): positive evidence only.
    - Precision and recall of several boxes: all boxes of a map against all true ones of its class, see `match`.

    Proportions have Wilson's interval. Means have the percentiles of a bootstrap over images, 2000 resamples with seed
    0.

    Args:
        explanation: an `Explanation` of N images.
        true_boxes: (N, 4), or a list of N arrays (B, 4): x0, y0, x1, y1 in pixels of the picture (of the input where
            the caller gave no pictures), end exclusive. An image may have none.
        classes: the class of each box: one index per image, or a list of N arrays (B,); "any" where a box belongs to
            whatever a row explains; None for the explanation's truth, or "any" where it has none.
        threshold: of the maps' boxes, a share of the maximum, as in `Explanation.boxes`.
        components: compare at most this many boxes of a map, the largest, with the true ones; None for all.
        min_iou: the overlap from which a box is right.
        tolerance: how many pixels from a true box the maximum may lie.
        confidence: of the intervals.

    Raises:
        InputError: an argument is out of range, the maps are not two-dimensional, the boxes or classes do not fit the
            explanation, or no row counts.
    """
    check_threshold(threshold)
    check_components(components)
    check_min_iou(min_iou)
    check_confidence(confidence)
    if not (isinstance(tolerance, Real) and 0 <= tolerance < float("inf")):
        raise InputError(f"tolerance={tolerance!r}: expected a distance in pixels, 0 or more, such as 15")
    size = picture_size(explanation)
    boxes = read_boxes(true_boxes, explanation.ids, size)
    true = TrueBoxes(boxes, read_classes(classes, boxes, explanation.truth, explanation.ids))
    rows = [
        _measure(explanation, m, true.of(int(n), int(target)), threshold, components, min_iou, tolerance)
        for m, (n, target) in enumerate(zip(explanation.image_index, explanation.targets, strict=True))
    ]
    found = np.array([row.found for row in rows])
    counts = np.array([row.instances[1] > 0 for row in rows])
    if not counts.any():
        raise InputError(_nothing_counts(explanation, true))
    top1, top5, notes = wrong_in_top(explanation, true, found)
    return Localization(
        title=f"{explanation.method} at {explanation.layer} of {explanation.model}",
        ids=tuple(explanation.ids[n] for n in explanation.image_index),
        targets=explanation.targets,
        image_index=explanation.image_index,
        counts=counts,
        boxes=np.array([row.box for row in rows]),
        points=np.array([row.point for row in rows]),
        best_iou=np.array([row.best_iou for row in rows]),
        found=found,
        pointed=np.array([row.pointed for row in rows]),
        share=np.array([row.share for row in rows]),
        area=np.array([row.area for row in rows]),
        instances=np.array([row.instances for row in rows]),
        top1_wrong=top1,
        top5_wrong=top5,
        threshold=threshold,
        components=components,
        min_iou=min_iou,
        tolerance=tolerance,
        confidence=confidence,
        notes=notes,
    )


class Measured(NamedTuple):
    """The attributes of `Localization`, of one row."""

    box: np.ndarray
    point: np.ndarray
    best_iou: float
    found: bool
    pointed: bool
    share: float
    area: float
    instances: tuple[int, int, int]


def _measure(
    explanation: Explained,
    m: int,
    true: np.ndarray,
    threshold: float,
    components: int | None,
    min_iou: float,
    tolerance: float,
) -> Measured:
    every = all_boxes(masks(explanation.heatmap(m)[None], threshold))[0]
    evidence = evidence_of(explanation, m)  # in the method's own scale, the maximum stays one pixel
    box = every[0] if len(every) else np.zeros(4, np.int64)
    point = points(evidence[None])[0]
    if not len(true):
        return Measured(box, point, np.nan, False, False, np.nan, np.nan, (0, 0, 0))
    area, overlap = inside(evidence.shape, true), float(iou(box, true).max())
    compared = every[:components]
    return Measured(
        box=box,
        point=point,
        best_iou=overlap,
        found=overlap >= min_iou,
        pointed=bool(evidence.any()) and bool((_distance(point, true) <= tolerance).any()),
        share=evidence_in(evidence, area),
        area=float(area.mean()),
        instances=(len(compared), len(true), int((match(compared, true, min_iou) >= 0).sum())),
    )


def _distance(point: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """From a pixel to the nearest pixel of each box (B, 4): (B,), 0 inside."""
    outside = np.maximum(np.maximum(boxes[:, :2] - point, point - (boxes[:, 2:] - 1)), 0)
    return np.hypot(*outside.T)


def _nothing_counts(explanation: Explained, true: TrueBoxes) -> str:
    if not any(map(len, true.boxes)):
        return "no image has a true box: there is nothing to compare the maps with"
    explained = ", ".join(map(str, np.unique(explanation.targets)[:5]))
    held = ", ".join(map(str, np.unique(np.concatenate(true.classes or ()))[:5]))
    return (
        f"no row explains the class of a true box of its image: the rows explain {explained}, the boxes hold {held}; "
        "explain the true classes, targets='truth', or pass classes='any' to compare every row with every box"
    )

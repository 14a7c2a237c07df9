"""Two sets of boxes: how far they overlap, and which belongs to which."""

from __future__ import annotations

from numbers import Real

import numpy as np

from xaicore.errors import InputError

__all__ = ["check_min_iou", "iou", "match"]


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The area that boxes share over the area that they cover (intersection over union), float64.

    Boxes are (..., 4), x0, y0, x1, y1 with the end exclusive, and broadcast: two boxes give a number, and
    `iou(a[:, None], b)` every box of `a` (A, 4) with every box of `b` (B, 4), (A, B). A box without area overlaps
    nothing.

    Raises:
        InputError: the last axis is not four numbers, or a box ends before it begins.
    """
    one, other = _checked(a), _checked(b)
    inner = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    shared = np.maximum(inner, 0).prod(axis=-1)
    covered = _area(one) + _area(other) - shared
    overlap: np.ndarray = shared / np.where(covered > 0, covered, 1)
    return overlap


def match(predicted: np.ndarray, true: np.ndarray, min_iou: float = 0.5) -> np.ndarray:
    """For each predicted box (P, 4), the index of the true box (T, 4) that it finds, or -1: int64 (P,).

    Greedy: the pair that overlaps most is matched first, and each box is matched once at most. Of equal pairs, the
    first predicted box comes first, then the first true one.

    Raises:
        InputError: `min_iou` is not in (0, 1], or the boxes are not as `iou` takes them.
    """
    check_min_iou(min_iou)
    overlap = iou(np.asarray(predicted)[:, None], np.asarray(true)[None])
    found = np.full(len(overlap), -1, np.int64)
    for pair in np.argsort(-overlap, axis=None, kind="stable"):
        p, t = np.unravel_index(pair, overlap.shape)
        if overlap[p, t] < min_iou:
            break
        if found[p] < 0 and t not in found:
            found[p] = t
    return found


def check_min_iou(min_iou: float) -> None:
    """Refuse what is no overlap.

    Raises:
        InputError: `min_iou` is not in (0, 1].
    """
    if not (isinstance(min_iou, Real) and 0 < min_iou <= 1):
        raise InputError(f"min_iou={min_iou!r}: expected an overlap, 0 < min_iou <= 1")


def _checked(boxes: np.ndarray) -> np.ndarray:
    boxes = np.asarray(boxes, np.float64)
    if not boxes.ndim or boxes.shape[-1] != 4:
        raise InputError(f"boxes of shape {boxes.shape}: expected (..., 4), x0, y0, x1, y1")
    wrong = boxes[(boxes[..., 2:] < boxes[..., :2]).any(axis=-1)]
    if len(wrong):
        raise InputError(f"the box {', '.join(f'{value:g}' for value in wrong[0])} ends before it begins")
    return boxes


def _area(boxes: np.ndarray) -> np.ndarray:
    area: np.ndarray = (boxes[..., 2:] - boxes[..., :2]).prod(axis=-1)
    return area

"""From heatmaps to places: threshold, mask, largest connected component, box.

The protocol of weakly supervised localisation since CAM (Zhou et al. 2016): keep the pixels above 20 % of the maximum,
and take the box of the largest connected component.
"""

from __future__ import annotations

from numbers import Real

import numpy as np

from xaicore.errors import InputError
from xaicore.opencv import cv2

__all__ = ["all_boxes", "boxes", "masks"]


def masks(heatmaps: np.ndarray, threshold: float = 0.2) -> np.ndarray:
    """Where heatmaps (M, *S) exceed `threshold` (0 <= threshold < 1) of their own maximum: bool (M, *S).

    A heatmap without evidence for the target has an empty mask; evidence against it is never inside.

    Raises:
        InputError: the threshold is not in [0, 1).
    """
    if not (isinstance(threshold, Real) and 0 <= threshold < 1):
        raise InputError(f"threshold={threshold!r}: expected a share of the maximum, 0 <= threshold < 1")
    top = heatmaps.max(axis=tuple(range(1, heatmaps.ndim)), keepdims=True, initial=0)
    above: np.ndarray = heatmaps > threshold * top
    return above


def boxes(masks: np.ndarray) -> np.ndarray:
    """The box of the largest connected component (8-connected) of each mask (M, H, W): int64 (M, 4).

    A box is x0, y0, x1, y1 in pixels, the end exclusive: `mask[y0:y1, x0:x1]` holds the component. Among components of
    equal size, the first in reading order is taken. An empty mask has the box 0, 0, 0, 0.

    Raises:
        InputError: the masks are not two-dimensional.
    """
    found = np.zeros((len(masks), 4), np.int64)
    for row, of_mask in zip(found, all_boxes(masks), strict=True):
        row[:] = of_mask[0] if len(of_mask) else 0
    return found


def all_boxes(masks: np.ndarray) -> list[np.ndarray]:
    """The boxes of all connected components of each mask (M, H, W), the largest component first: M arrays (B, 4).

    Raises:
        InputError: the masks are not two-dimensional.
    """
    if masks.ndim != 3:
        raise InputError(f"boxes need two-dimensional masks (M, H, W), got shape {masks.shape}")
    return [_boxes_of(mask) for mask in masks]


def _boxes_of(mask: np.ndarray) -> np.ndarray:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count == 1:  # the background alone
        return np.zeros((0, 4), np.int64)
    # OpenCV numbers components block by block, so that the first label is not the first in reading order.
    inside = np.flatnonzero(labels)
    _, first = np.unique(labels.flat[inside], return_index=True)
    order = np.lexsort((inside[first], -stats[1:, cv2.CC_STAT_AREA]))
    x, y, width, height = stats[1:][order, :4].astype(np.int64).T
    return np.stack([x, y, x + width, y + height], axis=1)

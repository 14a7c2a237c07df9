"""From heatmaps to places: threshold, mask, largest connected component, box; and the maximum.

The protocol of weakly supervised localisation since CAM (Zhou et al. 2016): keep the pixels above 20 % of the maximum,
and take the box of the largest connected component.
"""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np

from xaicore.errors import InputError
from xaicore.opencv import cv2

__all__ = ["all_boxes", "boxes", "check_components", "check_threshold", "masks", "points"]


def check_threshold(threshold: float) -> None:
    """Refuse what is no share of the maximum.

    Raises:
        InputError: the threshold is not in [0, 1).
    """
    if not (isinstance(threshold, Real) and 0 <= threshold < 1):
        raise InputError(f"threshold={threshold!r}: expected a share of the maximum, 0 <= threshold < 1")


def check_components(components: int | None) -> None:
    """Refuse what is no number of components.

    Raises:
        InputError: it is neither None nor a whole number, 1 or more.
    """
    if components is not None and not (isinstance(components, Integral) and components >= 1):
        raise InputError(f"components={components!r}: expected a number of components, 1 or more, or None")


def masks(heatmaps: np.ndarray, threshold: float = 0.2) -> np.ndarray:
    """Where heatmaps (M, *S) exceed `threshold` (0 <= threshold < 1) of their own maximum: bool (M, *S).

    A heatmap without evidence for the target has an empty mask; evidence against it is never inside.

    Raises:
        InputError: the threshold is not in [0, 1).
    """
    check_threshold(threshold)
    top = heatmaps.max(axis=tuple(range(1, heatmaps.ndim)), keepdims=True, initial=0)
    above: np.ndarray = heatmaps > threshold * top
    return above


def boxes(masks: np.ndarray, components: int | None = None) -> np.ndarray:
    """The box of the largest connected component (8-connected) of each mask (M, H, W): int64 (M, 4).

    A box is x0, y0, x1, y1 in pixels, the end exclusive: `mask[y0:y1, x0:x1]` holds the component. Among components of
    equal size, the first in reading order is taken. An empty mask has the box 0, 0, 0, 0.

    Args:
        masks: (M, H, W) bool.
        components: the boxes of this many components instead, the largest first: int64 (M, components, 4). Where a
            mask has fewer, the rest are 0, 0, 0, 0.

    Raises:
        InputError: the masks are not two-dimensional, or `components` is no number from 1.
    """
    check_components(components)
    found = np.zeros((len(masks), components or 1, 4), np.int64)
    for row, of_mask in zip(found, all_boxes(masks), strict=True):
        kept = of_mask[: len(row)]
        row[: len(kept)] = kept
    return found if components else found[:, 0]


def all_boxes(masks: np.ndarray) -> list[np.ndarray]:
    """The boxes of all connected components of each mask (M, H, W), the largest component first: M arrays (B, 4).

    Raises:
        InputError: the masks are not two-dimensional.
    """
    if masks.ndim != 3:
        raise InputError(f"boxes need two-dimensional masks (M, H, W), got shape {masks.shape}")
    return [_boxes_of(mask) for mask in masks]


def points(heatmaps: np.ndarray) -> np.ndarray:
    """The pixel with the most evidence in each heatmap (M, H, W): int64 (M, 2), x and y.

    Where several pixels share the maximum, it is the middle of their largest connected component: the pixel nearest to
    the component's centre of gravity. Of equal components and of equally near pixels, the first in reading order is
    taken. The point is thus always a maximum. Without evidence for the target, it is -1, -1.

    Raises:
        InputError: the heatmaps are not two-dimensional.
    """
    if heatmaps.ndim != 3:
        raise InputError(f"points need two-dimensional heatmaps (M, H, W), got shape {heatmaps.shape}")
    found = np.full((len(heatmaps), 2), -1, np.int64)
    for row, heatmap in zip(found, heatmaps, strict=True):
        top = heatmap.max(initial=0)
        if top > 0:
            row[:] = _middle(heatmap == top)
    return found


def _boxes_of(mask: np.ndarray) -> np.ndarray:
    _, stats, order = _components(mask)
    x, y, width, height = stats[order, :4].astype(np.int64).T
    return np.stack([x, y, x + width, y + height], axis=1)


def _middle(plateau: np.ndarray) -> tuple[int, int]:
    """x and y of the pixel of the largest component that is nearest to its centre of gravity."""
    labels, _, order = _components(plateau)
    y, x = (axis.astype(np.float64) for axis in np.nonzero(labels == order[0]))
    # Times the number of pixels, coordinates and their mean are whole numbers: equal distances compare as equal.
    distance = (len(x) * x - x.sum()) ** 2 + (len(y) * y - y.sum()) ** 2
    nearest = distance.argmin()
    return int(x[nearest]), int(y[nearest])


def _components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels (H, W), OpenCV's statistics by label, and the labels in order: largest first, then in reading order."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    # OpenCV numbers components block by block, so that the first label is not the first in reading order.
    inside = np.flatnonzero(labels)[::-1]
    first = np.zeros(count, np.int64)
    first[labels.flat[inside]] = inside  # from the last pixel to the first: the first one stays
    return labels, stats, 1 + np.lexsort((first[1:], -stats[1:, cv2.CC_STAT_AREA]))

"""Messages about a box that was not found: what the detector found instead, and what to type."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from xaicore.outputs import Detections, Found, overlaps

__all__ = ["is_empty", "missing", "nearest", "nowhere", "numbers"]

LISTED = 5
"""The boxes that a message lists."""

Name = Callable[[int], str]
"""`name(label)` is the label's name; "" for no label."""


def is_empty(found: Detections) -> bool:
    """Whether an image has no box with a score above 0: others only fill up."""
    return not found.ranked(1)


def nowhere(found: Sequence[Detections], n: int | None) -> str:
    """An image, or each of them for None, has no box at all."""
    scores = [one.scores.max() for one in found if one.scores.size]
    is_seen = f" with a score above 0; the highest is {max(scores):.3g}" if scores and max(scores) < 0 else ""
    logits = ". Where scores are logits, pass Detector(..., activation='sigmoid'), or 'softmax'" if is_seen else ""
    if n is None:
        return (
            f"the detector found nothing in any image{is_seen}: lower its own threshold of scores, or explain other "
            f"images{logits}"
        )
    return f"no detection in image {n}: leave it out, or pass targets=xaicore.targets.Boxes(1), which skips it"


def missing(found: Detections, n: int, i: int, threshold: float, of_label: str, name: Name) -> str:
    """Image n has no i-th best box with this label and a score that reaches the threshold."""
    what = f"has fewer than {i + 1} boxes" if i else "has no box"
    least = f" with a score of at least {threshold:g}" if threshold > 0 else ""
    listed = "; ".join(_described(box, name) for box in found.ranked(LISTED))
    return f"image {n} {what}{of_label}{least}; the best of all are: {listed}"


def nearest(
    found: Detections, n: int, place: np.ndarray, least: float, threshold: float, of_label: str, name: Name
) -> str:
    """Image n has no box that overlaps with a place (4,)."""
    boxes = found.ranked(len(found.boxes))
    shared = overlaps(place, np.array([box.box for box in boxes]))
    away = [float(np.abs(_centre(place) - _centre(box.box)).max()) for box in boxes]
    order = sorted(range(len(boxes)), key=lambda at: (-shared[at], away[at]))[:LISTED]
    listed = "; ".join(f"{_described(boxes[at], name)}, overlap {shared[at]:.2f}" for at in order)
    reached = f" and has a score of at least {threshold:g}" if threshold > 0 else ""
    return (
        f"image {n} has no box{of_label} that overlaps with {numbers(place)} by {least:g} or more{reached}; the "
        f"nearest are: {listed}. Pass near= one of these, or a smaller overlap="
    )


def numbers(box: np.ndarray) -> str:
    """A box (4,) as text, "(10, 20, 50.5, 60)"."""
    return f"({', '.join(f'{round(float(x), 1):g}' for x in box)})"


def _described(box: Found, name: Name) -> str:
    return f"{name(box.label) or 'a box'} {box.score:.3f} at {numbers(box.box)}"


def _centre(box: np.ndarray) -> np.ndarray:
    return np.asarray((box[:2] + box[2:]) / 2)

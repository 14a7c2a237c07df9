"""Whether numbers can be the boxes and scores that a caller's description makes of them.

A wrong axis, format or unit gives boxes, too: a picture of them would look right. Q boxes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xaicore.errors import InputError, OutputError
from xaicore.outputs.detections import FORMATS
from xaicore.outputs.links import check_activation

__all__ = ["check_boxes", "check_options", "check_scores"]

TOLERANCE = 1e-3
"""How far a probability in half precision may lie outside of 0 to 1."""

FEW = 0.1
"""The share of boxes that may be turned round, as those of an untrained net."""

SMALL, LARGE = 2, 16
"""Pixels: boxes that all lie within the first 2 of a picture of 16 or more are fractions of it."""


def check_options(form: str, activation: str | None, nms: float | None) -> None:
    """Refuse options of a description that are unknown or out of range.

    Raises:
        InputError: one is.
    """
    if form not in FORMATS:
        raise InputError(f"format={form!r} is not known; expected one of {', '.join(map(repr, FORMATS))}")
    check_activation(activation)
    if nms is not None and not 0 <= nms <= 1:
        raise InputError(f"nms={nms!r}: expected an intersection over union between 0 and 1, or None")


def check_scores(n: int, scores: np.ndarray, remedy: str) -> None:
    """Refuse scores that are no probabilities.

    Args:
        n: the image.
        scores: of any shape.
        remedy: what to type.

    Raises:
        OutputError: one lies outside of 0 to 1.
    """
    if scores.size and (scores.min() < -TOLERANCE or scores.max() > 1 + TOLERANCE):
        raise OutputError(
            f"image {n} has scores between {scores.min():.3g} and {scores.max():.3g}: expected 0 to 1. {remedy}"
        )


def check_boxes(
    n: int, boxes: np.ndarray, scores: np.ndarray, size: Sequence[int], described: str, relative: bool
) -> None:
    """Refuse boxes (Q, 4), x0, y0, x1, y1 in pixels, that do not lie in the picture.

    Boxes without any score above 0 are not read: detectors fill up with them, as 0 or -1 four times.

    Args:
        n: the image.
        boxes: of all scores.
        scores: (Q,) or (Q, C).
        size: (H, W) of the picture; anything else where it is not known.
        described: how the caller described them, such as "Yolo(axis=2)".
        relative: whether they were fractions of the picture.

    Raises:
        OutputError: more than a few have a negative width or height, most lie outside of the picture, or all lie in its
            first corner, as fractions do that are taken for pixels.
    """
    boxes = boxes[(scores.reshape(len(boxes), -1) > 0).any(axis=1)] if len(boxes) else boxes
    if not len(boxes):
        return
    turned = int((boxes[:, 2:] < boxes[:, :2]).any(axis=1).sum())
    if turned > FEW * len(boxes):
        raise OutputError(
            f"image {n} has {turned} of {len(boxes)} boxes with a negative width or height as {described} reads them: "
            "pass the format= of their four numbers, 'xyxy', 'xywh' or 'cxcywh'"
            + _or_axis(described)
            + "; offsets from anchors need a function as read=, which decodes them"
        )
    if len(size) != 2:
        return
    picture = f"the picture is {size[0]} x {size[1]} pixels"
    if not relative and len(boxes) > 1 and min(size) >= LARGE and np.abs(boxes).max() <= SMALL:
        raise OutputError(
            f"image {n} has boxes whose numbers lie between {boxes.min():.3g} and {boxes.max():.3g}, and {picture}: "
            f"where they are fractions of it, pass relative=True. {described} reads them as pixels"
        )
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 / np.array(size[::-1])
    outside = int((np.abs(centres - 0.5) > 1).any(axis=1).sum())
    if outside > len(boxes) / 2:
        unit = "relative=False, where they are pixels" if relative else "boxes in pixels of that picture"
        raise OutputError(
            f"image {n} has {outside} of {len(boxes)} boxes far outside of the picture as {described} reads them, and "
            f"{picture}: expected their format=, or {unit}" + _or_axis(described)
        )


def _or_axis(described: str) -> str:
    return ", or the other axis=, 1 or 2" if "axis=" in described else ""

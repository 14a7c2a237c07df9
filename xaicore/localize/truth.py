"""The true boxes of N images, and the classes of what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import InputError
from xaicore.outputs import true_classes

__all__ = ["TrueBoxes", "read_boxes", "read_classes"]


@dataclass(frozen=True, eq=False)
class TrueBoxes:
    """Checked boxes.

    Attributes:
        boxes: N arrays int64 (B, 4), x0, y0, x1, y1 in pixels, end exclusive.
        classes: N arrays int64 (B,); None where a box belongs to whatever a row explains.
    """

    boxes: tuple[np.ndarray, ...]
    classes: tuple[np.ndarray, ...] | None

    def of(self, n: int, target: int) -> np.ndarray:
        """The boxes of image n that hold the class `target`, (B, 4)."""
        return self.boxes[n] if self.classes is None else self.boxes[n][self.classes[n] == target]


def read_boxes(given: Any, ids: Sequence[str], size: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """(N, 4), or per image a box (4,) or boxes (B, 4), as N arrays int64 (B, 4).

    Raises:
        InputError: there are not N, a box has other than four whole numbers, no area, or lies outside the picture of
            `size` (height, width).
    """
    if not hasattr(given, "__len__") or isinstance(given, (str, dict)) or _is_flat(given):
        raise InputError(
            f"true_boxes={given!r}: expected (N, 4), one box per image, or a list of N arrays (B, 4): x0, y0, x1, y1"
        )
    if len(given) != len(ids):
        raise InputError(
            f"true_boxes are of {len(given)} images, and the explanation is of {len(ids)}: pass (N, 4), one box per "
            "image, or a list of N arrays (B, 4), also for several boxes of one image: [boxes]"
        )
    return tuple(_boxes(boxes, name, size) for boxes, name in zip(given, ids, strict=True))


def _is_flat(given: Any) -> bool:
    return len(given) > 0 and np.isscalar(given[0])


def _boxes(given: Any, name: str, size: tuple[int, int]) -> np.ndarray:
    try:
        boxes = np.asarray(given)
    except ValueError:  # rows of different lengths
        boxes = np.asarray(given, object)
    if boxes.size == 0:
        return np.zeros((0, 4), np.int64)
    boxes = boxes[None] if boxes.ndim == 1 else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.dtype.kind not in "iuf":
        raise InputError(
            f"the true boxes of {name!r} have shape {boxes.shape} and type {boxes.dtype}: expected (B, 4) or (4,), the "
            "numbers x0, y0, x1, y1"
        )
    height, width = size
    for box in boxes:
        _check_box(box, name, height, width)
    return boxes.astype(np.int64)


def _check_box(box: np.ndarray, name: str, height: int, width: int) -> None:
    shown = f"the true box {', '.join(f'{value:g}' for value in box.tolist())} of {name!r}"
    if not np.array_equal(box, np.floor(box)):
        raise InputError(
            f"{shown} is not in whole pixels: round its ends outwards (floor of x0 and y0, ceil of x1 and y1), and "
            f"multiply shares of the picture by its size first, {width} x {height} (width x height)"
        )
    x0, y0, x1, y1 = box
    if x1 <= x0 or y1 <= y0:
        raise InputError(
            f"{shown} has no area: expected x0, y0, x1, y1 with x0 < x1 and y0 < y1, the end exclusive; a box of x, "
            "y, width and height is x, y, x + width, y + height"
        )
    if min(x0, y0) < 0 or x1 > width or y1 > height:
        raise InputError(
            f"{shown} leaves the picture of {width} x {height} pixels (width x height): expected pixels of the "
            "explained picture, after its resizing and cropping"
        )


def read_classes(
    given: Any,
    boxes: Sequence[np.ndarray],
    truth: np.ndarray | None,
    ids: Sequence[str],
    argument: str = "classes",
) -> tuple[np.ndarray, ...] | None:
    """The class of every box: N arrays int64 (B,), or None for any.

    Args:
        given: one class per image, one per box of every image, "any", or None: the images' truth, where it is known.
        boxes: N arrays (B, 4).
        truth: as `Explanation.truth`.
        ids: the images' names.
        argument: what the caller calls `given`.

    Raises:
        InputError: there are more or fewer classes than boxes, or an image's truth does not say one class.
    """
    if given is None:
        return None if truth is None else _classes_of_truth(boxes, truth, ids, argument)
    if isinstance(given, str) and given == "any":
        return None
    if not hasattr(given, "__len__") or isinstance(given, (str, dict)):
        raise InputError(
            f"{argument}={given!r}: expected one class per image, a list of N arrays (B,), one per box, 'any' for "
            "boxes of whatever is explained, or None for the truth"
        )
    if len(given) != len(ids):
        raise InputError(f"{argument} are of {len(given)} images, and there are {len(ids)}")
    return tuple(_classes(of, len(box), name, argument) for of, box, name in zip(given, boxes, ids, strict=True))


def _classes(given: Any, count: int, name: str, argument: str) -> np.ndarray:
    classes = np.asarray(given)
    is_whole = classes.dtype.kind in "iu" and (classes >= 0).all()
    if not (is_whole or classes.size == 0) or classes.ndim > 1 or (classes.ndim == 1 and len(classes) != count):
        raise InputError(
            f"{argument} {given!r} of the {count} true boxes of {name!r}: expected class indices, one for all of them "
            "or one per box"
        )
    return np.broadcast_to(classes.astype(np.int64), (count,))


def _classes_of_truth(
    boxes: Sequence[np.ndarray], truth: np.ndarray, ids: Sequence[str], argument: str
) -> tuple[np.ndarray, ...]:
    found = []
    for n, name in enumerate(ids):
        true = true_classes(truth, n)
        if len(boxes[n]) and (true is None or len(true) != 1):
            seen = "unknown" if true is None else f"{len(true)} classes"
            raise InputError(
                f"the truth of {name!r} is {seen}, so that it does not say what its true boxes hold: pass {argument}=, "
                f"a list of N arrays (B,), one class per box, or {argument}='any'"
            )
        found.append(np.full(len(boxes[n]), true[0] if true else -1, np.int64))
    return tuple(found)

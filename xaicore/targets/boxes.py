"""Targets that are boxes of a detector: the best ones of each image, or the one near a given place.

N images, K boxes per image, outputs (N, *O). A box's score is that of its label, a probability where the detector gives
logits; its direction is +1 at the number in the outputs that makes the score.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np

from xaicore.errors import TargetError
from xaicore.outputs import Answer, Detections, Found, Read, read_detections
from xaicore.targets.box_words import is_empty, missing, nearest, nowhere, numbers
from xaicore.targets.followed import Followed, aim_at_boxes, index_of
from xaicore.targets.naming import class_text
from xaicore.targets.target import Aim, Places, Target
from xaicore.trees import as_array

__all__ = ["Box", "Boxes", "OfDetector"]


class OfDetector(Target):
    """What `Box` and `Boxes` share. Arguments and errors as theirs."""

    needs_parts = True
    of_class_axis = False
    follows = True

    def __init__(self, label: int | str | None, threshold: float, overlap: float, read: Read | None) -> None:
        if not isinstance(label, (Integral, str)) and label is not None:
            raise TargetError(f"label={label!r}: expected a class index or name, or None")
        if read is not None and not callable(read):
            raise TargetError(f"read={read!r}: expected a function, such as xaicore.targets.Detector(...)")
        if not 0 < overlap <= 1:
            raise TargetError(f"overlap={overlap!r}: expected an intersection over union, 0 < overlap <= 1")
        self.label: int | str | None = label
        self.threshold, self.overlap, self.read = threshold, overlap, read

    @abstractmethod
    def choose(self, found: Detections, n: int, label: int | None) -> list[Found | None]:
        """K boxes of image n, with this label if there is one; None for a box that is not there."""

    def again(self, aim: Aim) -> Target:
        """The boxes that overlap with those of `aim`; one that is gone scores 0, and nothing is pulled back for it."""
        assert aim.boxes is not None
        return Followed(list(zip(aim.classes, aim.boxes, strict=True)), self.overlap, self.read)

    def following(self, places: Places) -> Target:
        """The boxes that overlap with those of the steps before; where there was none, the best of the others."""
        return Followed(places, self.overlap, self.read, self)

    def chosen(self, answer: Answer) -> tuple[list[Detections], list[list[Found | None]]]:
        """The detections of all images, and the K boxes of each."""
        found, label = read_detections(answer, self.read), index_of(self.label, answer)
        return found, [self.choose(one, n, label) for n, one in enumerate(found)]

    @property
    def of_label(self) -> str:
        """The label, for texts: " of dog", " of class 3", or ""."""
        return "" if self.label is None else f" of {'' if isinstance(self.label, str) else 'class '}{self.label}"


class Box(OfDetector):
    """One box of each image (K = 1): the i-th best, or the one near a place.

    In changed pictures, as methods of many passes make them, and in later steps of a monitor, it is found again by
    overlap and label. One that is gone scores 0 there.

    Args:
        i: 0 for the box with the highest score, 1 for the next, and so on.
        near: x0, y0, x1, y1 in pixels of the picture that the model takes, or (N, 4), one per image: the box that
            overlaps with it. Of several, the one with the largest score times intersection over union.
        label: a class index or name; only boxes with this label count.
        threshold: the least score.
        overlap: the least intersection over union of a box that is found again.
        read: a function from an `xaicore.outputs.Answer` to the `Detections` of each image, for outputs whose layout
            nothing settles: a `Detector`, a `Yolo`, or one of your own.

    Raises:
        TargetError: an argument is out of range.
    """

    def __init__(
        self,
        i: int = 0,
        *,
        near: Any = None,
        label: int | str | None = None,
        threshold: float = 0.0,
        overlap: float = 0.5,
        read: Read | None = None,
    ) -> None:
        super().__init__(label, threshold, overlap, read)
        if not isinstance(i, Integral) or i < 0 or (i and near is not None):
            raise TargetError(f"Box({i!r}): expected 0 for the best box, 1 for the next; or near=(x0, y0, x1, y1)")
        self.i: int = int(i)
        self.near: np.ndarray | None = None if near is None else _as_boxes(near)

    def __str__(self) -> str:
        if self.near is None:
            return f"box {self.i}{self.of_label}" if self.i else f"best box{self.of_label}"
        return f"box near {numbers(self.near) if self.near.ndim == 1 else 'given places'}{self.of_label}"

    @property
    def per_image(self) -> bool:
        """Whether each image has a place of its own."""
        return self.near is not None and self.near.ndim == 2

    def take(self, chosen: slice | np.ndarray) -> Box:
        """The target of some of the images, by position."""
        if self.near is None or self.near.ndim == 1:
            return self
        near: Any = self.near[chosen]
        return Box(near=near, label=self.label, threshold=self.threshold, overlap=self.overlap, read=self.read)

    def aim(self, outputs: np.ndarray, kind: str, link: str | None = None, answer: Answer | None = None) -> Aim:
        """One direction per image.

        Raises:
            OutputError: nothing says how the outputs are read.
            TargetError: an image has no such box.
        """
        answer = answer or Answer(outputs, kind, link)
        self.check_count(len(outputs))
        found, chosen = self.chosen(answer)
        for n, (box,) in enumerate(chosen):
            if box is None:
                raise TargetError(self._missing(found, n, answer))
        return aim_at_boxes(chosen, answer)

    def choose(self, found: Detections, n: int, label: int | None) -> list[Found | None]:
        """The box of image n; None if it is not there."""
        if self.near is None:
            best = found.ranked(self.i + 1, label, self.threshold)
            return [best[self.i] if len(best) > self.i else None]
        box = found.near(self._place(n), self.overlap, label)
        return [None if box is None or box.score < self.threshold else box]

    def check_count(self, count: int) -> None:
        """Compare the number of places with that of the images.

        Raises:
            TargetError: there are more or fewer than N.
        """
        if self.near is not None and self.per_image and len(self.near) != count:
            raise TargetError(
                f"near= has {len(self.near)} boxes for {count} images: give one for each, or (4,) for all"
            )

    def _place(self, n: int) -> np.ndarray:
        assert self.near is not None
        place: np.ndarray = self.near[n] if self.per_image else self.near
        return place

    def _missing(self, found: Sequence[Detections], n: int, answer: Answer) -> str:
        def name(label: int) -> str:
            return class_text(label, answer)

        if is_empty(found[n]):
            return nowhere(found, None if all(map(is_empty, found)) else n)
        if self.near is not None:
            return nearest(found[n], n, self._place(n), self.overlap, self.threshold, self.of_label, name)
        return missing(found[n], n, self.i, self.threshold, self.of_label, name)


class Boxes(OfDetector):
    """The k best boxes of each image, best first.

    K is k, or the largest number of boxes in an image where all have fewer; k where images are explained in several
    passes. An image with fewer than K is filled up with rows that have no box: class -1, score 0, an empty map.

    Args:
        k: how many.
        label, threshold, overlap, read: as in `Box`.

    Raises:
        TargetError: an argument is out of range.
    """

    def __init__(
        self,
        k: int,
        *,
        label: int | str | None = None,
        threshold: float = 0.0,
        overlap: float = 0.5,
        read: Read | None = None,
    ) -> None:
        super().__init__(label, threshold, overlap, read)
        if not isinstance(k, Integral) or k < 1:
            raise TargetError(f"Boxes({k!r}): expected a number of boxes, 1 or more")
        self.k: int = int(k)
        self._is_filled: bool = False

    def __str__(self) -> str:
        return f"{self.k} best boxes{self.of_label}"

    def apart(self) -> Boxes:
        """The same target with k rows for each image, also where no image has as many boxes, or any."""
        filled = copy.copy(self)
        filled._is_filled = True
        return filled

    def aim(self, outputs: np.ndarray, kind: str, link: str | None = None, answer: Answer | None = None) -> Aim:
        """K directions per image.

        Raises:
            OutputError: nothing says how the outputs are read.
            TargetError: no image has such a box.
        """
        answer = answer or Answer(outputs, kind, link)
        found, chosen = self.chosen(answer)
        most = max(sum(box is not None for box in boxes) for boxes in chosen)
        if self._is_filled:
            return aim_at_boxes(chosen, answer)
        if most:
            return aim_at_boxes([boxes[:most] for boxes in chosen], answer)
        if all(map(is_empty, found)):
            raise TargetError(nowhere(found, None))
        n = next(n for n, one in enumerate(found) if not is_empty(one))
        raise TargetError(
            missing(found[n], n, 0, self.threshold, self.of_label, lambda label: class_text(label, answer))
            + (", and the other images have none either" if len(found) > 1 else "")
        )

    def choose(self, found: Detections, n: int, label: int | None) -> list[Found | None]:
        """The k best boxes of image n, and None for each that is not there."""
        best: Sequence[Found | None] = found.ranked(self.k, label, self.threshold)
        return [*best, *[None] * (self.k - len(best))]


def _as_boxes(near: Any) -> np.ndarray:
    boxes = as_array(near, "near")
    is_number = boxes.dtype.kind in "iuf" and bool(np.isfinite(boxes).all())
    if not is_number or boxes.ndim not in (1, 2) or boxes.shape[-1] != 4 or (boxes[..., :2] >= boxes[..., 2:]).any():
        raise TargetError(
            f"near={near!r}: expected (x0, y0, x1, y1) in pixels of the picture that the model takes, x0 < x1 and "
            "y0 < y1, or (N, 4), one per image"
        )
    return boxes.astype(np.float64)

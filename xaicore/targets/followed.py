"""Boxes that are found again: in changed pictures, and in later steps of a training.

N images, K boxes per image, outputs (N, *O).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from xaicore.errors import TargetError, did_you_mean
from xaicore.outputs import Answer, Detections, Found, Read, overlaps, read_detections
from xaicore.targets.naming import class_text
from xaicore.targets.target import Aim, Places, Target

__all__ = ["Followed", "aim_at_boxes", "index_of"]


class Choosing(Protocol):
    """What chooses the boxes that no step has found so far."""

    label: int | str | None

    def choose(self, found: Detections, n: int, label: int | None) -> list[Found | None]:
        """K boxes of image n, with this label if there is one; None for a box that is not there."""


class Followed(Target):
    """The boxes that overlap with given ones and have their labels; one that is gone scores 0.

    Args:
        places: for each image its classes (K,), -1 for any, and boxes (K, 4), NaN for none; None for an image of which
            nothing is known.
        overlap: the least intersection over union.
        read: as in `Box`.
        chooses: chooses boxes where none are given; None: there is none.
    """

    needs_parts = True
    of_class_axis = False

    def __init__(self, places: Places, overlap: float, read: Read | None, chooses: Choosing | None = None) -> None:
        self._places, self._overlap, self._read, self._chooses = places, overlap, read, chooses

    def __str__(self) -> str:
        return "boxes found again" if self._chooses is None else str(self._chooses)

    def aim(self, outputs: np.ndarray, kind: str, link: str | None = None, answer: Answer | None = None) -> Aim:
        """K directions per image, zero for a box that is gone."""
        answer = replace(answer or Answer(outputs, kind, link), is_followed=self._chooses is None)
        label = None if self._chooses is None else index_of(self._chooses.label, answer)
        chosen = [self._choose(one, n, label) for n, one in enumerate(read_detections(answer, self._read))]
        return aim_at_boxes(chosen, answer, self._places)

    def again(self, aim: Aim) -> Target:
        """The boxes that overlap with those of `aim`."""
        assert aim.boxes is not None
        return Followed(list(zip(aim.classes, aim.boxes, strict=True)), self._overlap, self._read)

    def _choose(self, found: Detections, n: int, label: int | None) -> list[Found | None]:
        best = [] if self._chooses is None else self._chooses.choose(found, n, label)
        place = self._places[n]
        if place is None:
            return best
        classes, boxes = place
        chosen: list[Found | None] = [
            None if np.isnan(box).any() else found.near(box, self._overlap, int(c) if c >= 0 else None)
            for c, box in zip(classes, boxes, strict=True)
        ]
        others = (box for box in best if box is not None and not self._is_known(box, boxes))
        return [next(others, None) if np.isnan(boxes[k]).any() else box for k, box in enumerate(chosen)]

    def _is_known(self, box: Found, boxes: np.ndarray) -> bool:
        return bool((overlaps(box.box, np.nan_to_num(boxes)) >= self._overlap).any())


def aim_at_boxes(chosen: Sequence[Sequence[Found | None]], answer: Answer, places: Places | None = None) -> Aim:
    """The aim at K boxes of each image.

    Args:
        chosen: the boxes; None for one that is not there, which has a direction of zeros and the score 0.
        answer: of the pass.
        places: where they were looked for, whose class a box that is not there keeps.
    """
    outputs = answer.outputs
    shape = len(chosen), len(chosen[0])
    direction = np.zeros((*shape, int(np.prod(outputs.shape[1:]))), np.float32)
    classes, scores, boxes = np.full(shape, -1, np.int64), np.zeros(shape), np.full((*shape, 4), np.nan)
    names = np.full(shape, "no box", object)
    for n, of_image in enumerate(chosen):
        place = None if places is None else places[n]
        for k, box in enumerate(of_image):
            if box is not None:
                direction[n, k, list(box.places)] = box.slopes
                classes[n, k], scores[n, k], boxes[n, k] = box.label, box.score, box.box
                names[n, k] = class_text(box.label, answer)
            elif place is not None and not np.isnan(place[1][k]).any():
                classes[n, k] = place[0][k]
                names[n, k] = f"{class_text(int(classes[n, k]), answer)} not found".strip()
    return Aim(direction.reshape(*shape, *outputs.shape[1:]), classes, scores, names.astype(str), boxes)


def index_of(label: int | str | None, answer: Answer) -> int | None:
    """The class index of a label that the caller named.

    Raises:
        TargetError: no class or several have this name, or there are no names.
    """
    if not isinstance(label, str):
        return None if label is None else int(label)
    names = answer.class_names
    if names is None:
        raise TargetError(f"label={label!r} is no class index; to use names, pass class_names=")
    found = [index for index, name in enumerate(names) if name == label]
    if len(found) > 1:
        raise TargetError(f"label={label!r} names the classes {', '.join(map(str, found))}: pass an index")
    if not found:
        raise TargetError(f"label={label!r} is none of the {len(names)} class names{did_you_mean(label, names)}")
    return found[0]

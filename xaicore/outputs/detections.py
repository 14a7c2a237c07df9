"""What a detector found in an image: boxes, the scores of their labels, and where these scores lie in the outputs.

Boxes are x0, y0, x1, y1 in pixels of the picture that the model sees. Q boxes, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import InputError, TargetError

__all__ = ["FORMATS", "Detections", "Found", "corners", "joined_rows", "overlaps"]

FORMATS = ("xyxy", "xywh", "cxcywh")
"""How four numbers may say a box: two corners; a corner and the size; the centre and the size."""


@dataclass(frozen=True, eq=False)
class Found:
    """One box of an image.

    Attributes:
        box: (4,).
        score: of its label.
        label: -1 where the detector has none.
        places: where the numbers that make the score lie in the image's outputs, flattened.
        slopes: the direction of the score at these places.
    """

    box: np.ndarray
    score: float
    label: int
    places: tuple[int, ...]
    slopes: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Detections:
    """The boxes of one image; what a function `read=` returns for each.

    Attributes:
        boxes: (Q, 4).
        scores: (Q,), or (Q, C) with a column per label, of which a box has the one with the highest score.
        labels: (Q,) of each box, or (C,) of each column; -1 where the detector has none.
        places: where each score lies in the image's outputs (*O), flattened; of the shape of `scores`.
        objectness: (Q,) a factor of the scores that the outputs hold apart; None where there is none.
        objectness_places: (Q,) where it lies.
        is_linked: the outputs at `places` are logits, of which an activation made the scores.
        nms: of two boxes of one label whose intersection over union exceeds this, the one with the lower score is left
            out (non-maximum suppression); None: all stay.

    Raises:
        TargetError: the shapes do not fit each other.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    places: np.ndarray
    objectness: np.ndarray | None = None
    objectness_places: np.ndarray | None = None
    is_linked: bool = False
    nms: float | None = None

    def __post_init__(self) -> None:
        shapes = {name: np.shape(getattr(self, name)) for name in ("boxes", "scores", "labels", "places")}
        count, *columns = shapes["scores"] or (0, 0, 0)
        fits = shapes["boxes"] == (count, 4) and shapes["places"] == shapes["scores"] and len(columns) < 2
        if not fits or shapes["labels"] != (*columns, count)[:1]:
            described = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise TargetError(
                f"detections of one image have {described}: expected boxes (Q, 4), scores and places (Q,) or (Q, C), "
                "labels (Q,) or (C,)"
            )

    def ranked(self, k: int, label: int | None = None, threshold: float = 0.0) -> list[Found]:
        """The k boxes with the highest scores, best first; fewer where there are fewer.

        Args:
            k: how many.
            label: only boxes with this label, which is their best one where each has a single score.
            threshold: the least score. Boxes without one above 0 only fill up an image.
        """
        rows, columns, scores = self._of(label)
        order = np.argsort(-scores, kind="stable")
        order = order[(scores[order] >= threshold) & (scores[order] > 0)]
        labels, boxes = self._labels(rows, columns), self.boxes[rows]
        kept: list[int] = []
        while len(order) and len(kept) < k:
            best, order = order[0], order[1:]
            kept.append(best)
            if self.nms is not None:
                is_same = (overlaps(boxes[best], boxes[order]) > self.nms) & (labels[order] == labels[best])
                order = order[~is_same]
        return [self._found(rows[at], columns[at], scores[at]) for at in kept]

    def near(self, box: np.ndarray, least: float, label: int | None = None) -> Found | None:
        """The box that shows the same object: of those that overlap with `box`, the one with the largest score times
        intersection over union, as D-RISE compares detections (Petsiuk et al. 2021); None where none overlaps.

        Args:
            box: (4,).
            least: the least intersection over union.
            label: as in `ranked`.
        """
        rows, columns, scores = self._of(label)
        shared = overlaps(box, self.boxes[rows])
        likely = np.where(shared >= least, shared * scores, -np.inf)
        if not len(likely) or likely.max() == -np.inf:
            return None
        at = int(likely.argmax())
        return self._found(rows[at], columns[at], scores[at])

    def _of(self, label: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, columns and scores of the boxes with a label, (Q',) each; columns are 0 where there is one score."""
        rows = np.arange(len(self.boxes))
        if self.scores.ndim == 1:
            rows = rows if label is None else np.flatnonzero(self.labels == label)
            columns, scores = np.zeros_like(rows), self.scores[rows]
        else:
            known = np.flatnonzero(self.labels == label)
            if self.scores.shape[1] == 0 or (label is not None and not len(known)):
                rows = rows[:0]
            columns = self.scores[rows].argmax(axis=1) if len(rows) and label is None else np.resize(known, len(rows))
            scores = self.scores[rows, columns]
        return rows, columns, scores if self.objectness is None else scores * self.objectness[rows]

    def _labels(self, rows: Any, columns: Any) -> Any:
        return self.labels[rows if self.scores.ndim == 1 else columns]

    def _found(self, row: int, column: int, score: float) -> Found:
        at = (row,) if self.scores.ndim == 1 else (row, column)
        label, places, slopes = self._labels(row, column), [int(self.places[at])], [1.0]
        if self.objectness is not None and self.objectness_places is not None:
            places.append(int(self.objectness_places[row]))
            slopes = [1.0, 1.0] if self.is_linked else [float(self.objectness[row]), float(self.scores[at])]
        return Found(self.boxes[row], float(score), int(label), tuple(places), tuple(slopes))


def overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The intersection over union (Q,) of a box (4,) with boxes (Q, 4); 0 where both are empty."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.maximum(sides, 0).prod(axis=1)
    union = _area(box[None]) + _area(boxes) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def corners(boxes: np.ndarray, form: str, size: Sequence[int] | None = None) -> np.ndarray:
    """Boxes (Q, 4) of this form as x0, y0, x1, y1, float64.

    Args:
        boxes: four numbers each, as the detector has them.
        form: one of `FORMATS`.
        size: (H, W) of the picture that the boxes are fractions of; None where they are in pixels.

    Raises:
        InputError: the form is unknown.
    """
    if form not in FORMATS:
        raise InputError(f"format={form!r} is not known; expected one of {', '.join(map(repr, FORMATS))}")
    first, second = np.split(np.asarray(boxes, np.float64).reshape(-1, 4), 2, axis=1)
    if form == "cxcywh":
        first = first - second / 2
    found = np.concatenate([first, second if form == "xyxy" else first + second], axis=1)
    return found if size is None else found * np.array([*size[::-1], *size[::-1]], np.float64)


def joined_rows(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays (N, ...) one after the other; what has fewer boxes, or less of another axis, is padded with zeros."""
    most = np.max([array.shape[1:] for array in arrays], axis=0)
    padding = [[(0, 0), *((0, int(m - n)) for m, n in zip(most, array.shape[1:], strict=True))] for array in arrays]
    return np.concatenate(
        [array if not np.any(more) else np.pad(array, more) for array, more in zip(arrays, padding, strict=True)]
    )


def _area(boxes: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1))

"""Reading the boxes of detectors: layouts that the outputs' names settle, and layouts that the caller describes.

N images, Q boxes, C columns of scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from xaicore.errors import InputError, OutputError
from xaicore.outputs.answer import Answer
from xaicore.outputs.detections import Detections, corners
from xaicore.outputs.links import EQUAL, probabilities
from xaicore.outputs.plausible import check_boxes, check_options, check_scores

__all__ = ["Detector", "Read", "Yolo", "read_detections"]

Read = Callable[[Answer], Sequence[Detections]]
"""`read(answer)` returns the boxes of each of the N images."""

BACKGROUNDS = ("last", "first", None)

OPEN = ("text_embeds", "class_embeds")
"""Outputs of detectors whose labels are texts of the call: the number of labels in their configuration says nothing."""


def read_detections(answer: Answer, read: Read | None = None) -> list[Detections]:
    """The boxes of each image.

    Without `read`, of two layouts: torchvision's outputs "boxes", "scores" and "labels", a list of images each; and
    "logits" (N, Q, C) with "pred_boxes" (N, Q, 4), centre and size as fractions of the picture, as Transformers has
    them: C labels with a sigmoid, or C - 1 labels and "no object", the last one, with a softmax, as the number of
    labels in the model's configuration says.

    Raises:
        OutputError: the outputs have another layout, or not the shapes of theirs.
    """
    if read is not None:
        found = list(read(answer))
        if len(found) != len(answer.outputs) or not all(isinstance(one, Detections) for one in found):
            raise OutputError(
                f"read= returned {len(found)} values for {len(answer.outputs)} images: expected an "
                "xaicore.targets.Detections for each"
            )
        return found
    names = answer.parts.keys()
    if names >= {"boxes", "scores", "labels"}:
        return Detector("boxes", "scores", "labels")(answer)
    if names >= {"logits", "pred_boxes"} and not names & set(OPEN):
        return _of_queries(answer)(answer)
    raise OutputError(
        f"the model returned {_described(answer)}, and nothing says which of these numbers are boxes: describe them, "
        "such as read=xaicore.targets.Detector(boxes='boxes', scores='classes', labels=None, format='xyxy'), or "
        "read=xaicore.targets.Yolo(axis=1) for one tensor (N, 4 + classes, boxes)"
    )


@dataclass(frozen=True)
class Detector:
    """Reads the boxes of a detector that returns them and their scores apart, as `read=` of `Box` and `Boxes`.

    Attributes:
        boxes: the output (N, Q, 4), by name or position.
        scores: the output (N, Q), or (N, Q, C) with a column per label; it must be the one that is explained.
        labels: the output (N, Q) of each box's label; None where the columns of the scores are the labels.
        format: "xyxy", two corners; "xywh", a corner and the size; "cxcywh", the centre and the size.
        relative: whether boxes are fractions of the picture; else they are pixels of the one that the model takes.
        activation: "softmax" or "sigmoid", which makes probabilities of the scores; None: they are used as they are.
            One that the model itself ends in is not applied again.
        background: the column of "no object", "last" or "first"; None where there is none.
        nms: of two boxes of one label whose intersection over union exceeds this, the one with the lower score is left
            out; None where the model has done so itself, or needs none.

    Raises:
        InputError: an option is unknown or out of range.
    """

    boxes: int | str = "boxes"
    scores: int | str = "classes"
    labels: int | str | None = None
    format: str = "xyxy"
    relative: bool = False
    activation: str | None = None
    background: str | None = None
    nms: float | None = None

    def __post_init__(self) -> None:
        check_options(self.format, self.activation, self.nms)
        if self.background not in BACKGROUNDS:
            raise InputError(f"background={self.background!r}: expected 'last', 'first' or None")

    def __call__(self, answer: Answer) -> list[Detections]:
        """The boxes of each image.

        Raises:
            OutputError: an output is missing, has another shape, or another one than the scores is explained.
        """
        wanted = [self.boxes, self.scores, *([] if self.labels is None else [self.labels])]
        missing = [name for name in wanted if name not in answer.parts]
        if missing:
            raise OutputError(f"the model returned {_described(answer)}, and no output {missing[0]!r}")
        if answer.name not in (self.scores, None):  # a backend without facts does not name it
            raise OutputError(
                f"output {answer.name!r} is explained, and the scores of the boxes are {self.scores!r}: pass "
                f"output={self.scores!r}"
            )
        size = _size_of(answer, self.relative)
        return [self._read(answer, n, size) for n in range(len(answer.outputs))]

    def _read(self, answer: Answer, n: int, size: Sequence[int] | None) -> Detections:
        scores, places, is_left_out = _explained(answer, n, self.scores)
        boxes = np.asarray(answer.parts[self.boxes][n])
        labels = None if self.labels is None else np.asarray(answer.parts[self.labels][n]).reshape(-1)
        if boxes.shape != (len(scores), 4) or scores.ndim > 2 or (labels is not None and scores.shape != labels.shape):
            also = "" if labels is None else f", labels {self.labels!r} {labels.shape}"
            raise OutputError(
                f"image {n} has boxes {self.boxes!r} {boxes.shape}, scores {self.scores!r} {scores.shape}{also}: "
                "expected (Q, 4), and (Q,) with labels (Q,) or (Q, C) with labels=None"
            )
        scores = _activated(scores, None if is_left_out else self.activation)
        if scores.ndim == 2:
            chosen = _foreground(scores.shape[1], self.background)
            scores, places, labels = scores[:, chosen], places[:, chosen], np.arange(scores.shape[1])[chosen]
        elif labels is None:
            labels = np.full(len(scores), -1)
        is_linked = is_left_out or self.activation is not None
        found = corners(boxes, self.format, size)
        if not answer.is_followed:
            check_boxes(n, found, scores, answer.size, f"Detector(format={self.format!r})", self.relative)
        return Detections(found, scores, labels.astype(np.int64), places, is_linked=is_linked, nms=self.nms)


@dataclass(frozen=True)
class Yolo:
    """Reads one tensor of boxes and scores, (N, 4 + classes, Q) or (N, Q, 4 + classes), as `read=` of `Box`, `Boxes`.

    Attributes:
        format: of the first four numbers, as in `Detector`.
        objectness: whether the fifth number is a factor of all scores, as up to YOLOv5 and in YOLOv7.
        axis: the axis of a box's numbers, 1 for (N, 4 + classes, Q) or 2. None: the one whose length fits the number
            of classes, where that is known.
        classes: how many numbers are scores of labels; None: all that follow. Masks or key points may come behind.
        relative, activation, nms: as in `Detector`.

    Raises:
        InputError: an option is unknown or out of range.
    """

    format: str = "cxcywh"
    objectness: bool = False
    axis: int | None = None
    classes: int | None = None
    relative: bool = False
    activation: str | None = None
    nms: float | None = 0.5

    def __post_init__(self) -> None:
        check_options(self.format, self.activation, self.nms)
        if self.axis not in (1, 2, None):
            raise InputError(f"axis={self.axis!r}: expected 1 for (N, 4 + classes, boxes), 2 for (N, boxes, ...), None")

    def __call__(self, answer: Answer) -> list[Detections]:
        """The boxes of each image.

        Raises:
            OutputError: the explained output is no such tensor, or nothing says which axis is which.
        """
        size = _size_of(answer, self.relative)
        return [self._read(answer, n, size) for n in range(len(answer.outputs))]

    def _read(self, answer: Answer, n: int, size: Sequence[int] | None) -> Detections:
        values, places, is_left_out = _explained(answer, n, answer.name)
        if values.ndim != 2:
            raise OutputError(f"image {n} has outputs {values.shape}: Yolo() expects (4 + classes, boxes), or turned")
        axis = self._axis_of(values.shape, answer)
        if axis == 1:
            values, places = values.T, places.T
        first = 4 + self.objectness
        last = values.shape[1] if self.classes is None else first + self.classes
        if not first < last <= values.shape[1]:
            raise OutputError(f"a box has {values.shape[1]} numbers: expected {first}, and a score per class: {self!r}")
        linked = _activated(values[:, 4:last], None if is_left_out else self.activation)
        described = f"Yolo({self.format!r}, axis={axis})"
        other = f"Where axis {3 - axis} holds the numbers of a box, pass Yolo(axis={3 - axis})"
        behind = "where masks or key points follow them, pass classes=; " if self.classes is None else ""
        remedy = f"{other}; {behind}where they are logits, activation='sigmoid'. {described} read them"
        found, scores = corners(values[:, :4], self.format, size), linked[:, first - 4 : last - 4]
        if not answer.is_followed:
            check_scores(n, linked, remedy)
            check_boxes(n, found, scores, answer.size, described, self.relative)
        return Detections(
            found,
            scores,
            np.arange(last - first),
            places[:, first:last],
            linked[:, 0] if self.objectness else None,
            places[:, 4] if self.objectness else None,
            is_left_out or self.activation is not None,
            self.nms,
        )

    def _axis_of(self, shape: tuple[int, ...], answer: Answer) -> int:
        names = None if answer.class_names is None else len(answer.class_names)
        count = self.classes or answer.class_count or names
        fits = [axis for axis in (1, 2) if count is not None and shape[axis - 1] == 4 + self.objectness + count]
        if self.axis is not None:
            if fits == [3 - self.axis] and self.classes is None:
                raise OutputError(
                    f"an image has outputs {shape}, and axis={self.axis} says that a box has {shape[self.axis - 1]} "
                    f"numbers: for {count} classes, pass axis={fits[0]}"
                )
            return self.axis
        if len(fits) != 1:
            raise OutputError(
                f"an image has outputs {shape}, and nothing says which axis holds the numbers of a box: pass "
                "read=xaicore.targets.Yolo(axis=1) for (N, 4 + classes, boxes), axis=2 for (N, boxes, 4 + classes)"
            )
        return fits[0]


def _of_queries(answer: Answer) -> Detector:
    """How Transformers' "logits" and "pred_boxes" are read.

    Raises:
        OutputError: nothing says whether the last column is "no object".
    """
    columns, count = np.shape(answer.parts["logits"][0])[-1], answer.class_count
    link = answer.link or {count: "sigmoid", (count or 0) + 1: "softmax"}.get(columns)
    background = "last" if link == "softmax" else None
    if link is None or (link == "softmax" and columns != (count or 0) + 1):
        said = "no number of labels" if count is None else f"{count} labels"
        raise OutputError(
            f"output 'logits' has {columns} columns, and the model's configuration names {said}: pass "
            "activation='sigmoid', where each column is a label, or read=xaicore.targets.Detector('pred_boxes', "
            "'logits', labels=None, format='cxcywh', relative=True, activation='softmax', background='last')"
        )
    activation = link if answer.kind == "logits" else None
    return Detector("pred_boxes", "logits", None, "cxcywh", True, activation, background)


def _explained(answer: Answer, n: int, name: int | str | None) -> tuple[np.ndarray, np.ndarray, bool]:
    """The explained output of image n as the model gives it, where each number lies in `outputs[n]`, and a flag.

    Of a list of images, without the padding. The flag: the model gives probabilities, and `outputs` are their logits,
    from before the activation.

    Raises:
        OutputError: `outputs` are not made of that output.
    """
    if answer.outputs.ndim < 2:
        raise OutputError(f"outputs {answer.outputs.shape} hold one number per image: expected one for each box")
    shape, axis = answer.outputs.shape[1:], answer.class_axis - 1
    places = np.moveaxis(np.arange(int(np.prod(shape))).reshape(shape), 0, axis)
    values = np.moveaxis(answer.outputs[n], 0, axis)
    if name is None or name not in answer.parts:
        return values, places, False
    own = np.asarray(answer.parts[name][n])
    if own.ndim != values.ndim or any(length > all_ for length, all_ in zip(own.shape, values.shape, strict=True)):
        raise OutputError(f"output {name!r} of image {n} is {own.shape}, and outputs {answer.outputs.shape} of it")
    cut = tuple(map(slice, own.shape))
    is_left_out = answer.kind == "logits" and not np.allclose(own, values[cut], EQUAL, EQUAL)
    return own, places[cut], is_left_out


def _activated(scores: np.ndarray, activation: str | None) -> np.ndarray:
    """Scores (Q,) or (Q, C), float64, as probabilities."""
    scores = scores.astype(np.float64)
    if activation is None or not scores.size:
        return scores
    if activation == "sigmoid" or scores.shape[-1] == 1:
        return probabilities(scores.reshape(-1, 1), "logits", "sigmoid")[:, 1].reshape(scores.shape)
    return probabilities(scores, "logits", activation)


def _foreground(columns: int, background: str | None) -> slice:
    return slice(1 if background == "first" else 0, columns - (background == "last"))


def _size_of(answer: Answer, relative: bool) -> tuple[int, ...] | None:
    """(H, W) that boxes are fractions of; None where they are in pixels."""
    if not relative:
        return None
    if len(answer.size) != 2:
        raise OutputError(
            f"boxes are fractions of a picture, and the model sees {answer.size or 'none that is known'}: say where "
            "the axes of the input are, input_axes='nchw' or 'nhwc'"
        )
    return answer.size


def _described(answer: Answer) -> str:
    def shapes(part: Sequence[np.ndarray]) -> str:
        each = sorted({np.shape(one) for one in part})
        return " and ".join(map(str, each[:3])) + (", ..." if len(each) > 3 else "")

    listed = ", ".join(f"{name!r} {shapes(part)} per image" for name, part in answer.parts.items())
    return listed or f"outputs {answer.outputs.shape}"

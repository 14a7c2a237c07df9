"""Which of a model's outputs is explained, and which of them hold boxes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from xaicore.errors import BackendError, OutputError

__all__ = [
    "OF_ONE_BOX",
    "boxes_among",
    "choose_name",
    "choose_output",
    "is_called_boxes",
    "part_shape",
    "scores_of_boxes",
]

BOXES = re.compile(r"(?<![a-z])b?box(es)?(?![a-z])|bounding.?box", re.IGNORECASE)
"""What outputs that hold boxes call themselves, unless `SCORES` is in the name too."""

SCORES = re.compile(r"score|logit|class|cls|label|prob|conf", re.IGNORECASE)

LABELS = re.compile(r"label|class.?ids?$", re.IGNORECASE)
"""What outputs that hold the class of each box call themselves, beside those of their scores."""

OF_ONE_BOX = (
    "name boxes, targets=xaicore.targets.Boxes(3), or explain a model that returns the number in question, of one "
    "box, as (N, 1)"
)

Shapes = Mapping[int | str, tuple[int, ...]]
Tensor = TypeVar("Tensor")


def choose_output(
    outputs: Mapping[int | str, Tensor], output: int | str | None, answer: Any, preferred: str | None = None
) -> Tensor:
    """The one of a model's outputs that is explained; for backends. Arguments and errors as in `choose_name`."""
    return outputs[choose_name(outputs, output, answer, preferred)]


def choose_name(
    outputs: Mapping[int | str, Any], output: int | str | None, answer: Any, preferred: str | None = None
) -> int | str:
    """The name or position of the output that is explained; for backends.

    Of boxes and their scores, the scores are explained.

    Args:
        outputs: {name or position: tensor with a shape}, in the model's order; also shapes, or parts as of `parts_of`.
        output: the caller's choice, a name or a position (from the end if negative); None where there is none. The
            name of a nest with one part, "aux" for "aux.logits", is that of the part.
        answer: what the model returned; its type is named where it holds no tensor.
        preferred: the output to take where the caller chose none.

    Raises:
        OutputError: the model has no such output, or several and nothing chooses between them.
        BackendError: it returned no tensor at all.
    """
    shapes = {name: part_shape(part) for name, part in outputs.items()}
    described = ", ".join(f"{name!r} {shape}" for name, shape in shapes.items()) or type(answer).__name__
    if output is not None:
        name = _named(list(outputs), output)
        if name is None:
            raise OutputError(f"output={output!r} is none of the model's outputs: {described}")
        return name
    if preferred is not None and preferred in outputs:
        return preferred
    if len(outputs) == 1:
        return next(iter(outputs))
    if outputs:
        boxes = boxes_among(shapes)
        scores = _scores(shapes)
        if len(scores) == 1:
            return scores[0]
        if boxes and all(len(shape) > 2 or shape in _rows(shapes, boxes) for shape in shapes.values()):
            others = scores or [name for name in outputs if name not in boxes] or list(outputs)
            which = " or ".join(f"output={name!r}" for name in others[:3])
            raise OutputError(
                f"the model returned {described}, as detectors do, not one score per class: say which part holds the "
                f"scores of the boxes, {which}, and {OF_ONE_BOX}"
            )
        example = next((name for name in outputs if name not in boxes), next(iter(outputs)))
        raise OutputError(f"the model has {len(outputs)} outputs, {described}: say which one, output={example!r}")
    raise BackendError(f"the model returned no tensor but a {described}; expected outputs (N, classes)")


def boxes_among(shapes: Shapes) -> list[int | str]:
    """The outputs that hold boxes: by their names, or four numbers for each row of another output.

    (N, Q, 4) beside (N, Q) or (N, Q, classes) are boxes; so are (Q, 4) beside (Q,), as detectors return them.
    """

    def has_rows_of_its_own(name: int | str, shape: tuple[int, ...]) -> bool:
        others = [other for one, other in shapes.items() if one != name]
        return any(other and (other == shape[:-1] or (len(other) > 2 and other[:-1] == shape[:-1])) for other in others)

    return [
        name
        for name, shape in shapes.items()
        if is_called_boxes(name) or (len(shape) > 1 and shape[-1] == 4 and has_rows_of_its_own(name, shape))
    ]


def scores_of_boxes(shapes: Shapes, name: int | str) -> int | str | None:
    """The boxes that an output holds scores for, (N, Q, classes) or (N, Q) for (N, Q, 4); None where it holds none."""
    shape = shapes[name]
    for boxes in boxes_among(shapes):
        rows = shapes[boxes][:-1]
        if boxes != name and len(shape) > 1 and len(rows) > 1 and rows in (shape, shape[:-1]):
            return boxes
    return None


def is_called_boxes(name: int | str) -> bool:
    """Whether an output's name says that it holds boxes."""
    return bool(BOXES.search(str(name))) and not SCORES.search(str(name))


def part_shape(part: Any) -> tuple[int, ...]:
    """The shape of a part of an answer; of a list of one tensor per image, that of the array with zeros where a tensor
    has less: (N, most, ...). A tuple is a shape."""
    if isinstance(part, tuple):
        return part
    if not isinstance(part, list):
        return tuple(getattr(part, "shape", ()))
    lengths = zip(*(tuple(tensor.shape) for tensor in part), strict=True)
    return (len(part), *map(max, lengths))


def _named(names: list[int | str], output: int | str) -> int | str | None:
    """The output that a name or a position means; None where there is none, or several."""
    if output in names:
        return output
    inside = [name for name in names if str(name).startswith(f"{output}.")]
    if len(inside) == 1:
        return inside[0]
    is_position = isinstance(output, int) and not inside and -len(names) <= output < len(names)
    return names[output] if is_position else None  # type: ignore[index]  # a position is an int


def _scores(shapes: Shapes) -> list[int | str]:
    """The outputs that hold the scores of boxes: by their names, where several have a row per box."""
    by_shape = [name for name in shapes if scores_of_boxes(shapes, name) is not None]
    if len(by_shape) < 2:
        return by_shape
    named = [name for name in by_shape if SCORES.search(str(name)) and not LABELS.search(str(name))]
    rows = {shapes[name][:-1] for name in boxes_among(shapes)}
    return [name for name in named if shapes[name] in rows] or named  # one for each box, before those of its parts


def _rows(shapes: Shapes, boxes: list[int | str]) -> set[tuple[int, ...]]:
    return {shapes[name][:-1] for name in boxes} | {shapes[name] for name in boxes}

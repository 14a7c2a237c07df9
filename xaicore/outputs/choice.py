"""Which of a model's outputs is explained, and which of them hold boxes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from xaicore.errors import BackendError, OutputError

__all__ = ["OF_ONE_BOX", "boxes_among", "choose_name", "choose_output", "scores_of_boxes"]

BOXES = re.compile(r"(?<![a-z])b?box(es)?(?![a-z])|bounding.?box", re.IGNORECASE)
"""What outputs that hold boxes call themselves, unless `SCORES` is in the name too."""

SCORES = re.compile(r"score|logit|class|cls|label|prob|conf", re.IGNORECASE)

OF_ONE_BOX = "explain a model that returns the number in question, of one box, as (N, 1)"

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

    Args:
        outputs: {name or position: tensor with a shape}, in the model's order.
        output: the caller's choice, a name or a position (from the end if negative); None where there is none.
        answer: what the model returned; its type is named where it holds no tensor.
        preferred: the output to take where the caller chose none.

    Raises:
        OutputError: the model has no such output, or several and nothing chooses between them.
        BackendError: it returned no tensor at all.
    """
    shapes = {name: tuple(getattr(tensor, "shape", ())) for name, tensor in outputs.items()}
    described = ", ".join(f"{name!r} {shape}" for name, shape in shapes.items()) or type(answer).__name__
    if output is not None:
        names = list(outputs)
        is_position = isinstance(output, int) and output not in outputs and -len(names) <= output < len(names)
        name = names[output] if is_position else output  # type: ignore[index]  # a position is an int
        if name not in outputs:
            raise OutputError(f"output={output!r} is none of the model's outputs: {described}")
        return name
    if preferred is not None and preferred in outputs:
        return preferred
    if len(outputs) == 1:
        return next(iter(outputs))
    if outputs:
        boxes = boxes_among(shapes)
        if boxes and all(len(shape) > 2 or shape in _rows(shapes, boxes) for shape in shapes.values()):
            raise OutputError(f"the model returned {described}, as detectors do, not one score per class: {OF_ONE_BOX}")
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
        if _is_called_boxes(name) or (len(shape) > 1 and shape[-1] == 4 and has_rows_of_its_own(name, shape))
    ]


def scores_of_boxes(shapes: Shapes, name: int | str) -> int | str | None:
    """The boxes that an output holds scores for, (N, Q, classes) or (N, Q) for (N, Q, 4); None where it holds none."""
    shape = shapes[name]
    for boxes in boxes_among(shapes):
        rows = shapes[boxes][:-1]
        if boxes != name and len(shape) > 1 and len(rows) > 1 and rows in (shape, shape[:-1]):
            return boxes
    return None


def _is_called_boxes(name: int | str) -> bool:
    return bool(BOXES.search(str(name))) and not SCORES.search(str(name))


def _rows(shapes: Shapes, boxes: list[int | str]) -> set[tuple[int, ...]]:
    return {shapes[name][:-1] for name in boxes} | {shapes[name] for name in boxes}

"""Which of a model's outputs is explained; detections, boxes and a score for each of them, are refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from xaicore.errors import BackendError, OutputError

__all__ = ["choose_output"]

BOXES = re.compile(r"(^|_)(bbox|box)(es)?(_|$)", re.I)
"""The names of outputs that hold boxes, unless `SCORES` is in them too."""

SCORES = re.compile(r"score|logit|class|cls|label|prob|conf", re.I)

Tensor = TypeVar("Tensor")


def choose_output(
    outputs: Mapping[int | str, Tensor], output: int | str | None, answer: Any, preferred: str | None = None
) -> Tensor:
    """The one of a model's outputs that is explained; for backends.

    Args:
        outputs: {name or position: tensor with a shape}, in the model's order.
        output: the caller's choice, a name or a position (from the end if negative); None where there is none.
        answer: what the model returned; its type is named where it holds no tensor.
        preferred: the output to take where the caller chose none.

    Raises:
        OutputError: the model has no such output, several and nothing chooses between them, or it is boxes.
        BackendError: it returned no tensor at all.
    """
    name = _chosen_name(outputs, output, answer, preferred)
    if name in _detections(outputs):
        raise OutputError(
            f"the model finds boxes in each image: of its outputs {_described(outputs)}, {name!r} "
            f"{_shape(outputs[name])} holds boxes or a score for each of them, not scores of classes. Wrap the model "
            "in one that returns the score of the box in question as (N, 1), or these outputs alone if they are scores "
            "of classes"
        )
    return outputs[name]


def _chosen_name(
    outputs: Mapping[int | str, Tensor], output: int | str | None, answer: Any, preferred: str | None
) -> int | str:
    shown = _described(outputs) or type(answer).__name__
    if output is not None:
        names = list(outputs)
        is_position = isinstance(output, int) and output not in outputs and -len(names) <= output < len(names)
        name = names[output] if is_position else output  # type: ignore[index]  # a position is an int
        if name not in outputs:
            raise OutputError(f"output={output!r} is none of the model's outputs: {shown}")
        return name
    if preferred is not None and preferred in outputs:
        return preferred
    if len(outputs) == 1:
        return next(iter(outputs))
    if outputs:
        others = [one for one in outputs if one not in _detections(outputs)] or list(outputs)
        raise OutputError(f"the model has {len(outputs)} outputs, {shown}: say which one, output={others[0]!r}")
    raise BackendError(f"the model returned no tensor but a {shown}; expected outputs (N, classes)")


def _detections(outputs: Mapping[int | str, Any]) -> set[int | str]:
    """The outputs that are boxes, by their names or shapes, and those that are one score for each of several boxes.

    Four numbers beside one number for each of them are boxes and their scores: (n, 4) and (n,), or (N, Q, 4) and
    (N, Q). So are (N, Q, 4) beside (N, Q, classes).
    """
    shapes = {name: _shape(tensor) for name, tensor in outputs.items()}
    found = {name for name in shapes if BOXES.search(str(name)) and not SCORES.search(str(name))}
    for name, shape in shapes.items():
        if shape[-1:] != (4,):
            continue
        scores = [other for other, one in shapes.items() if other != name and one and one == shape[:-1]]
        by_class = [one for other, one in shapes.items() if other != name and len(one) > 2 and one[:-1] == shape[:-1]]
        if scores or by_class:
            found.add(name)
        found.update(other for other in scores if len(shapes[other]) > 1)
    return found


def _shape(tensor: Any) -> tuple[int, ...]:
    """The shape of an output; empty where it has none."""
    return tuple(getattr(tensor, "shape", ()))


def _described(outputs: Mapping[int | str, Any]) -> str:
    """The names and shapes of outputs, for messages."""
    return ", ".join(f"{name!r} {_shape(tensor)}" for name, tensor in outputs.items())

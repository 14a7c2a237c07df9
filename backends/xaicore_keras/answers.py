"""What a model returned: its tensors by name, and the one that is explained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from xaicore.errors import OutputError, XaicoreError, type_name
from xaicore.outputs import Output, choose_name, part_shape, parts_of
from xaicore_keras.calls import shape_of

__all__ = ["Answer", "UnreadAnswer", "answer_of", "in_order"]


class UnreadAnswer(Exception):
    """A caller's function that reads a model's answer raised; the message says what and where."""


@dataclass(frozen=True)
class Answer:
    """What a model returned.

    Attributes:
        outputs: {name or position: tensor}.
        name: of the one that is explained; None for one that a caller's function made of them.
        tensor: the one that is explained, in the model's layout.
    """

    outputs: Mapping[int | str, Any]
    name: int | str | None
    tensor: Any


def answer_of(model: Any, given: Any, output: Output, count: int) -> Answer:
    """The answer of a model that returned this for `count` images; 0 where their number is not known yet.

    Raises:
        BackendError: the model has no such output, or several and nothing chooses between them.
        OutputError: the caller's function gives no tensor of floating-point numbers, or the axes are others.
        UnreadAnswer: it raised.
    """
    outputs = _named(model, given, count)
    if output.read is None:
        name = choose_name(outputs, output.name, given)
        answer = Answer(outputs, name, outputs[name])
    else:
        tensor = _read(output.read, given, outputs)
        answer = Answer(outputs, next((name for name, one in outputs.items() if one is tensor), None), tensor)
    if output.axes is not None and len(output.axes) != len(answer.tensor.shape):
        raise OutputError(
            f"output_axes={output.axes!r} has {len(output.axes)} letters, and the output is "
            f"{shape_of(answer.tensor)}: pass one letter per axis"
        )
    return answer


def in_order(tensor: Any, output: Output) -> Any:
    """The explained output with images on axis 0 and classes on axis 1, where the caller says which these are."""
    order = output.order
    return tensor if order is None or order == tuple(range(len(order))) else keras.ops.transpose(tensor, order)


def _read(read: Any, given: Any, outputs: Mapping[int | str, Any]) -> Any:
    described = ", ".join(f"{name!r} {shape_of(tensor)}" for name, tensor in outputs.items())
    called = getattr(read, "__name__", type_name(read))
    try:
        tensor = read(given)
    except XaicoreError:
        raise
    except Exception as exc:  # any that a caller's function raises
        raise UnreadAnswer(
            f"the function {called} of the model's answer raised {type(exc).__name__}: {exc}; the model returned "
            f"{described}"
        ) from exc
    if not keras.ops.is_tensor(tensor) or not len(tensor.shape):
        kind = "a single number" if keras.ops.is_tensor(tensor) else f"a {type_name(tensor)}"
        raise OutputError(
            f"the function {called} of the model's answer returned {kind}: expected a tensor with a row per image, "
            f"such as (N, 1), made of {described} by keras.ops or {keras.backend.backend()}"
        )
    kind = keras.backend.standardize_dtype(tensor.dtype)
    if not keras.backend.is_float_dtype(kind):
        raise OutputError(
            f"the function {called} of the model's answer returned {kind} {shape_of(tensor)}, which has no gradient: "
            "expected floating-point scores"
        )
    return tensor


def _named(model: Any, given: Any, count: int) -> dict[int | str, Any]:
    """{name or position: tensor}; a functional model's outputs by their names."""
    names = getattr(model, "output_names", None) or ()
    several = [given] if keras.ops.is_tensor(given) else given
    if isinstance(several, (list, tuple)) and len(set(names)) == len(several):
        given = dict(zip(names, several, strict=True))
    parts = parts_of(given, keras.ops.is_tensor, count)
    return {name: _stacked(part) if isinstance(part, list) else part for name, part in parts.items()}


def _stacked(tensors: list[Any]) -> Any:
    """One tensor per image as one (N, most, ...), with zeros where a tensor has less."""
    sizes = part_shape(tensors)[1:]
    padded = [keras.ops.pad(one, [(0, n - own) for n, own in zip(sizes, one.shape, strict=True)]) for one in tensors]
    return keras.ops.stack(padded)

"""Calls of layers, in a pass over values or over symbolic tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import keras

__all__ = ["Call", "Recorder", "first_tensor", "producer", "replace_first_tensor", "shape_of", "tensors_in"]


@dataclass(eq=False)
class Call:
    """One call of a layer or operation.

    Attributes:
        path: the name of the layer.
        layer: itself.
        inputs: the tensors that it took.
        output: the first tensor that it gave.
        gives: how many tensors it gave.
        axis: the channel axis of the output, once it is read.
    """

    path: str
    layer: Any
    inputs: Sequence[Any]
    output: Any
    gives: int = 1
    axis: int = 1

    @property
    def input(self) -> Any:
        """The first tensor that it took; None without one."""
        return self.inputs[0] if self.inputs else None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the output; lengths that depend on values are 0."""
        return shape_of(self.output)

    @property
    def dtype(self) -> str:
        """The type of the output."""
        return keras.backend.standardize_dtype(self.output.dtype)


class Recorder(Protocol):
    """Records what one pass calls.

    Attributes:
        calls: those that gave a tensor, in order of completion.
        change: `change(number, tensor)` is what the model goes on with after a call; numbers count the calls.
    """

    calls: list[Call]
    change: Callable[[int, Any], Any] | None


def shape_of(tensor: Any) -> tuple[int, ...]:
    """The shape of a tensor; lengths that are not known without values are 0."""
    return tuple(length if isinstance(length, int) else 0 for length in tensor.shape)


def tensors_in(value: Any) -> list[Any]:
    """The tensors in a layer's arguments or answer, however deep; symbolic ones too."""
    leaves = keras.tree.flatten(value)
    return [leaf for leaf in leaves if keras.ops.is_tensor(leaf) or isinstance(leaf, keras.KerasTensor)]


def first_tensor(value: Any) -> Any:
    """The first of these tensors; None without one."""
    return next(iter(tensors_in(value)), None)


def replace_first_tensor(answer: Any, change: Callable[[Any], Any]) -> Any:
    """A layer's answer with `change` applied to its first tensor, wherever that stands in it."""
    tensor = first_tensor(answer)
    if tensor is None:
        return answer
    new = change(tensor)
    return keras.tree.map_structure(lambda leaf: new if leaf is tensor else leaf, answer)


def producer(calls: Sequence[Call], at: int) -> int | None:
    """The innermost call that made the input of call `at`."""
    tensor = calls[at].input
    for i, call in enumerate(calls[:at]):
        if call.output is tensor:
            return i
    # Mixed precision passes on a copy of another type. Then it is the call before, if that has the shape.
    if at and tensor is not None:
        before = calls[at - 1].output
        if before.dtype != tensor.dtype and tuple(before.shape) == tuple(tensor.shape):
            return at - 1
    return None

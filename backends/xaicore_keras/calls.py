"""Calls of layers, in a pass over values or over symbolic tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

__all__ = ["Call", "first_tensor", "replace_first_tensor", "spatial_shape", "tensors_in"]


@dataclass
class Call:
    """One call of a layer or operation.

    Attributes:
        path: the name of the layer.
        layer: itself.
        inputs: the tensors that it took.
        output: the first tensor that it gave.
        axis: the channel axis of the output, as `layout.assign_channel_axes` finds it.
    """

    path: str
    layer: Any
    inputs: Sequence[Any]
    output: Any
    axis: int = 1

    @property
    def input(self) -> Any:
        """The first tensor that it took; None without one."""
        return self.inputs[0] if self.inputs else None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the output with channels first: (N, C, *spatial)."""
        lengths = [length if isinstance(length, int) else _UnknownLength() for length in self.output.shape]
        return (*lengths[:1], *lengths[self.axis : self.axis + 1], *spatial_shape(lengths, self.axis))

    @property
    def dtype(self) -> str:
        """The type of the output."""
        return keras.backend.standardize_dtype(self.output.dtype)


class _UnknownLength(int):
    """A length that is known only with values: printed as None, as by Keras, and larger than any known length."""

    def __new__(cls) -> _UnknownLength:
        return super().__new__(cls, 2**31)

    def __repr__(self) -> str:
        return "None"


def spatial_shape(shape: Sequence[Any], axis: int) -> tuple[Any, ...]:
    """The lengths of all axes but the batch axis and the channel axis."""
    return tuple(length for i, length in enumerate(shape) if i not in (0, axis))


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

"""Where Keras' layers keep their channels, and which of them pool."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import keras

__all__ = ["channel_axes", "default_axis", "is_pooling", "stated_axis"]

_POOLING_NAME = re.compile(r"Pool(ing)?(\dD)?$|^GeM")


def channel_axes(calls: Iterable[tuple[Any, Sequence[Any], Any]]) -> list[int]:
    """The channel axis of each output of calls (layer, inputs, output), given in order of completion.

    The best witness counts: the layer itself, or whoever made this very tensor; the input, through a layer that
    keeps or turns its axes; whoever takes the output; the input after all; the last output of this rank; and how Keras
    is configured, which models need not follow.
    """
    calls = list(calls)
    taken: dict[int, int] = {}
    for layer, inputs, _ in calls:
        for tensor in inputs:
            axis = stated_axis(layer, len(tensor.shape))
            if axis is not None:
                taken.setdefault(id(tensor), axis)
    known: dict[int, int] = {}
    last: dict[int, int] = {}
    axes: list[int] = []
    for layer, inputs, output in calls:
        rank = len(output.shape)
        before = _axis_before(inputs, rank, known, taken)
        witnesses = (
            stated_axis(layer, rank),
            known.get(id(output)),
            _passed_on(layer, inputs, output, before),
            taken.get(id(output)),
            before,
            last.get(rank),
            default_axis(rank),
        )
        axis = next(axis for axis in witnesses if axis is not None)
        last[rank] = known[id(output)] = axis
        axes.append(axis)
    return axes


def _axis_before(inputs: Sequence[Any], rank: int, known: dict[int, int], taken: dict[int, int]) -> int | None:
    of_inputs = (known.get(id(t), taken.get(id(t))) for t in inputs if len(t.shape) == rank)
    return next((axis for axis in of_inputs if axis is not None), None)


def _passed_on(layer: Any, inputs: Sequence[Any], output: Any, before: int | None) -> int | None:
    """Where a layer that keeps or turns the axes of its input puts the channels."""
    if before is None:
        return None
    name = type(layer).__name__
    if name == "Permute":
        return 1 + layer.dims.index(before)
    if name == "Transpose":
        order = layer.axes or range(len(output.shape))[::-1]
        return [axis % len(output.shape) for axis in order].index(before)
    keeps = name != "Reshape" and any(tuple(t.shape) == tuple(output.shape) for t in inputs)
    return before if keeps else None


def stated_axis(layer: Any, rank: int) -> int | None:
    """Where a layer itself says that tensors of this rank, taken or given, have their channels."""
    if rank < 3 or isinstance(layer, keras.layers.Flatten):  # Flatten takes any layout, whatever it says
        return None
    if type(layer).__name__ == "TorchModuleWrapper":
        return 1
    if isinstance(layer, keras.layers.BatchNormalization) and isinstance(layer.axis, int):
        return layer.axis % rank
    layout = getattr(layer, "data_format", None)
    return {"channels_first": 1, "channels_last": rank - 1}.get(layout) if isinstance(layout, str) else None


def default_axis(rank: int) -> int:
    """Where channels are when nothing tells: as Keras is configured, which models need not follow."""
    return 1 if rank < 3 or (rank > 3 and keras.config.image_data_format() == "channels_first") else rank - 1


def is_pooling(layer: Any) -> bool:
    """Whether a layer pools, Keras' own or one that calls itself so."""
    return any(_POOLING_NAME.search(base.__name__) for base in type(layer).__mro__)

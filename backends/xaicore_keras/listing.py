"""What the calls of one pass show of a model's layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import keras

from xaicore import Layer
from xaicore.layers import is_pooling
from xaicore_keras.calls import Call
from xaicore_keras.layout import is_identity
from xaicore_keras.paths import is_attention

__all__ = ["LayerSpec", "is_map", "layer_specs", "list_layers"]


@dataclass(frozen=True)
class LayerSpec:
    """A layer's output, as its last call in a pass gave it.

    Attributes:
        axis: the channel axis in the model's own layout.
        calls: how often the layer is called in one pass.
        dtype: the type.
        shape: with channels first, (N, C, *spatial).
    """

    axis: int
    calls: int
    dtype: str
    shape: tuple[int, ...]


def layer_specs(calls: Sequence[Call]) -> dict[str, LayerSpec]:
    """{path: spec} of every layer that was called, also of those that `list_layers` lists under an outer name."""
    specs: dict[str, LayerSpec] = {}
    for call in calls:
        number = specs[call.path].calls + 1 if call.path in specs else 1
        specs[call.path] = LayerSpec(call.axis, number, call.dtype, call.shape)
    return specs


def list_layers(calls: Sequence[Call], picture: Any, layers: Mapping[str, Any]) -> tuple[Layer, ...]:
    """The last call of each layer in order of completion; a shared output has its outermost name.

    Args:
        calls: of one pass, in order of completion.
        picture: the input with the most axes.
        layers: {path: layer} of the model.
    """
    last: dict[str, Call] = {}
    pooled: set[int] = set()
    for call in calls:
        last.pop(call.path, None)
        for inner in [path for path in last if path.startswith(f"{call.path}/")]:
            if last[inner].output is call.output:
                del last[inner]
        last[call.path] = call
        if is_pooling(type(call.layer)) or (is_identity(call.layer) and id(call.input) in pooled):
            pooled.add(id(call.output))
    return tuple(
        Layer(path, type(call.layer).__name__, call.shape, is_map(call, picture, layers), id(call.output) in pooled)
        for path, call in last.items()
    )


def is_map(call: Call, picture: Any, layers: Mapping[str, Any]) -> bool:
    """Whether the output is a map of the picture, with a row per picture and more than one position.

    Positions whose number depends on values may be those of a crop, and are no map.
    """
    sizes, picture_sizes = tuple(call.output.shape), tuple(picture.shape)
    return (
        len(sizes) == len(picture_sizes) > 2
        and sizes[0] == picture_sizes[0]
        and (None not in sizes[1:] or None in picture_sizes[1:])
        and prod(call.shape[2:]) > 1
        and keras.backend.is_float_dtype(call.dtype)
        and not is_attention(call.path, layers)
        and not _is_attention_weights(call)
    )


def _is_attention_weights(call: Call) -> bool:
    """Whether the output is a softmax over tokens, (N, heads, T, T), which a custom attention makes."""
    shape = call.output.shape
    is_square = len(shape) == 4 and shape[-1] == shape[-2] and shape[1] != shape[2]
    return is_square and isinstance(call.layer, keras.layers.Softmax)

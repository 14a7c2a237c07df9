"""Where Keras' layers have their channels, and which of them do nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from xaicore_keras.calls import Call

__all__ = ["assign_channel_axes", "default_axis", "is_identity", "picture_axis", "stated_axis"]

# Classes whose `call` returns its input in inference.
_IDENTITIES = {
    *("Identity", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout"),
    *("GaussianDropout", "GaussianNoise", "ActivityRegularization"),
}


def assign_channel_axes(calls: Sequence[Call]) -> None:
    """Set the channel axis of each call's output; calls are in order of completion.

    The best evidence counts: what the layer itself states, or the layer that made this very tensor; the input's axis,
    through a layer that keeps or permutes axes; what a layer that takes the output states; the input's axis after
    all; that of the last output of this rank; and Keras' configuration, which models need not follow.
    """
    takers: dict[int, int] = {}
    for call in calls:
        for tensor in call.inputs:
            axis = stated_axis(call.layer, len(tensor.shape))
            if axis is not None:
                takers.setdefault(id(tensor), axis)
    makers: dict[int, int] = {}
    last: dict[int, int] = {}
    for call in calls:
        rank, output = len(call.output.shape), id(call.output)
        input_axis = _input_axis(call, makers, takers)
        evidence = (
            stated_axis(call.layer, rank),
            makers.get(output),
            _kept_axis(call, input_axis),
            takers.get(output),
            input_axis,
            last.get(rank),
            default_axis(rank),
        )
        call.axis = next(axis for axis in evidence if axis is not None)
        last[rank] = makers[output] = call.axis


def picture_axis(calls: Sequence[Call], picture: Any) -> int:
    """The channel axis of the picture: as a layer that takes it permutes or states it, else any layer of its rank."""
    rank = len(picture.shape)
    takers = [call for call in calls if call.input is picture]
    permuted = (call.layer.dims[call.axis - 1] for call in takers if isinstance(call.layer, keras.layers.Permute))
    same_rank = [call for call in calls if call.input is not None and len(call.input.shape) == rank]
    stated = (stated_axis(call.layer, rank) for call in (*takers, *same_rank))
    return next(permuted, None) or next(filter(None, stated), None) or default_axis(rank)


def _input_axis(call: Call, makers: Mapping[int, int], takers: Mapping[int, int]) -> int | None:
    """The channel axis of the first input of the output's rank for which one is known."""
    inputs = (id(tensor) for tensor in call.inputs if len(tensor.shape) == len(call.output.shape))
    axes = (makers.get(tensor, takers.get(tensor)) for tensor in inputs)
    return next((axis for axis in axes if axis is not None), None)


def _kept_axis(call: Call, input_axis: int | None) -> int | None:
    """Where a layer that keeps or permutes the axes of its input puts the channels."""
    if input_axis is None:
        return None
    layer, shape = call.layer, call.output.shape
    name = type(layer).__name__
    if name == "Permute":
        return 1 + layer.dims.index(input_axis)
    if name == "Transpose":
        order = layer.axes or range(len(shape))[::-1]
        return [axis % len(shape) for axis in order].index(input_axis)
    keeps = name != "Reshape" and any(tuple(tensor.shape) == tuple(shape) for tensor in call.inputs)
    return input_axis if keeps else None


def stated_axis(layer: Any, rank: int) -> int | None:
    """The channel axis of tensors of this rank that a layer takes or gives, where it states one."""
    if rank < 3 or isinstance(layer, keras.layers.Flatten):  # Flatten takes any layout, whatever it states
        return None
    if type(layer).__name__ == "TorchModuleWrapper":
        return 1
    if isinstance(layer, keras.layers.BatchNormalization) and isinstance(layer.axis, int):
        return layer.axis % rank
    layout = getattr(layer, "data_format", None)
    return {"channels_first": 1, "channels_last": rank - 1}.get(layout) if isinstance(layout, str) else None


def default_axis(rank: int) -> int:
    """The channel axis for lack of evidence: as Keras is configured."""
    return 1 if rank < 3 or (rank > 3 and keras.config.image_data_format() == "channels_first") else rank - 1


def is_identity(layer: Any) -> bool:
    """Whether a layer does nothing in inference: its class calls itself so, or inherits the `call` of one that does."""
    if isinstance(layer, keras.layers.Activation):
        return layer.activation is keras.activations.linear
    for cls in type(layer).__mro__:
        if cls.__name__ in _IDENTITIES or "call" in vars(cls):
            return cls.__name__ in _IDENTITIES
    return False

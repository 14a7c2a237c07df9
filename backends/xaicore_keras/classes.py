"""Which axis of a model's output holds the classes, as its layers say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from xaicore_keras.calls import Call, producer, shape_of
from xaicore_keras.layout import is_identity, permuted_axis, reshaped_axis
from xaicore_keras.private import call_of_keras

__all__ = ["find_class_axis"]

# Layers and operations that keep values in their places, of one tensor or of several of one layout.
_ELEMENTWISE = {
    *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "Cast", "Rescaling", "Normalization"),
    *("Sigmoid", "LogSoftmax", "LogSigmoid", "Relu", "Relu6", "LeakyRelu", "Elu", "Gelu", "Silu", "Tanh", "Softplus"),
    *("Exp", "Log", "Sqrt", "Square", "Abs", "Absolute", "Negative", "Clip", "StopGradient", "Power", "Where"),
    *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Divide", "TrueDivide", "Concatenate"),
    *("BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization", "UnitNormalization"),
}
# Those that keep the order of values.
_RESHAPING = {"Reshape", "Squeeze", "ExpandDims", "Flatten"}
_SOFTMAXES = {"softmax", "log_softmax", "logsoftmax"}


def find_class_axis(calls: Sequence[Call], y: Any) -> int | None:
    """The axis of a model's output y (N, ...) that holds the classes; None where its layers do not say.

    A dense or recurrent layer says the last axis, a layer with a data format the axis of its channels. Layers that work
    on each value, reshape or permute pass on what the layers before them say, as far as that is still one axis. Where
    none of them says it, a softmax over one axis does.

    Args:
        calls: of one pass, in order of completion.
        y: the output.
    """
    if len(y.shape) < 3:
        return 1
    axes: dict[int, int | None] = {}
    for at, call in enumerate(calls):
        if axes.get(id(call.output)) is None:  # else a layer inside has said it
            maker = producer(calls, at)
            axes[id(call.output)] = _axis_of(call, None if maker is None else calls[maker], axes)
    return axes.get(id(y))


def _axis_of(call: Call, maker: Call | None, axes: dict[int, int | None]) -> int | None:
    """The axis of a call's output, from those of what it takes; `maker` is the call that made the first of these."""
    layer, shape = call.layer, call.shape
    of_first = None if maker is None else axes.get(id(maker.output))
    axis = permuted_axis(layer, len(shape), of_first)
    if axis is None or _passes(layer, _ELEMENTWISE):
        passed = _passed(call, of_first, axes)
        axis = axis if passed is None else passed
    return _axis_of_softmax(layer, len(shape)) if axis is None else axis


def _passed(call: Call, of_first: int | None, axes: dict[int, int | None]) -> int | None:
    """Where the output has the axis of what a call takes, if the call keeps it."""
    shape = call.shape
    if _passes(call.layer, _ELEMENTWISE) or is_identity(call.layer):
        others = {axes.get(id(tensor)) for tensor in call.inputs[1:] if len(tensor.shape) == len(shape)}
        known = ({of_first} | others) - {None}
        return known.pop() if len(known) == 1 else None
    if of_first is None:
        return None
    return reshaped_axis(shape_of(call.input), shape, of_first) if _passes(call.layer, _RESHAPING) else None


def _passes(layer: Any, names: set[str]) -> bool:
    """Whether Keras' own layer or operation is one of these."""
    is_known = not isinstance(layer, keras.Layer) or call_of_keras(layer)
    return is_known and type(layer).__name__ in names


def _axis_of_softmax(layer: Any, rank: int) -> int | None:
    """The axis of a softmax over one axis."""
    function = getattr(vars(layer).get("activation"), "__name__", type(layer).__name__)
    axis = getattr(layer, "axis", -1)
    is_softmax = function.lower() in _SOFTMAXES and (not isinstance(layer, keras.Layer) or call_of_keras(layer))
    return axis % rank if is_softmax and isinstance(axis, int) else None

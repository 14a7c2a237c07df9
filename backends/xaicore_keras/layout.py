"""What a layer of Keras says about itself: its kind, and where its output has the channels."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import keras
import numpy as np

from xaicore.layers import is_pooling
from xaicore_keras.private import call_of_keras, child_layers

__all__ = [
    "channel_axis",
    "default_axis",
    "is_identity",
    "kind_of",
    "permutation",
    "permuted_axis",
    "reads_backwards",
    "reshaped_axis",
    "vectors",
]

# Classes whose `call` returns its input in inference.
_IDENTITIES = {
    *("Identity", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout"),
    *("GaussianDropout", "GaussianNoise", "ActivityRegularization"),
}
# Names, since not every version of Keras 3 has all of them.
_KINDS = {
    "convolution": (
        *("Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "DepthwiseConv1D"),
        *("DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"),
    ),
    "norm": ("BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization"),
    "dense": ("Dense", "EinsumDense"),
    "attention": ("MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention"),
    "recurrent": ("RNN", "Bidirectional"),
    "embedding": ("Embedding",),
}
_CLASSES = {
    kind: tuple(getattr(keras.layers, name) for name in names if hasattr(keras.layers, name))
    for kind, names in _KINDS.items()
}
# Kinds that work on the last axis.
_LAST = ("dense", "attention", "recurrent", "embedding")


def kind_of(layer: Any) -> str | None:
    """The kind of a layer, for `LayerFacts`: by its class, which may be derived from Keras'."""
    if is_pooling(type(layer.layer if isinstance(layer, keras.layers.TimeDistributed) else layer)):
        return "pooling"
    if isinstance(layer, keras.layers.Bidirectional) and _joins_maps(layer):
        return kind_of(layer.forward_layer)
    return next((kind for kind, classes in _CLASSES.items() if isinstance(layer, classes)), None)


def is_recurrent(layer: Any) -> bool:
    """Whether a layer reads its input step by step; a ConvLSTM convolves, too."""
    return isinstance(layer, _CLASSES["recurrent"])


def reads_backwards(layer: Any) -> bool | None:
    """For `LayerFacts`; a layer of two directions puts the steps of the second one in the order of the first."""
    if isinstance(layer, keras.layers.Bidirectional):
        is_turned = layer.return_sequences and getattr(layer.forward_layer, "go_backwards", False)
        return True if is_turned else None
    return bool(getattr(layer, "go_backwards", False))


def _joins_maps(layer: Any) -> bool:
    """Whether a layer of two directions joins the maps of a convolution, along their channels if it concatenates."""
    is_last = getattr(layer.forward_layer, "data_format", None) == "channels_last"
    return kind_of(layer.forward_layer) == "convolution" and (is_last or layer.merge_mode != "concat")


def channel_axis(layer: Any, rank: int) -> int | None:
    """Where a layer says that tensors of this rank, which it takes or gives, have their channels.

    A class derived from Keras' says so too, unless it has a `call` of its own, which may permute.
    """
    if rank < 2 or isinstance(layer, keras.layers.Flatten):  # Flatten takes any layout, whatever it states
        return None
    if type(layer).__name__ == "TorchModuleWrapper":
        return 1
    if isinstance(layer, keras.layers.TimeDistributed):
        axis = channel_axis(layer.layer, rank - 1)
        return None if axis is None else axis + 1
    kind = kind_of(layer)
    if isinstance(layer, keras.layers.Bidirectional) and hasattr(layer.forward_layer, "data_format"):
        return channel_axis(layer.forward_layer, rank) if kind == "convolution" else None
    layout = getattr(layer, "data_format", None)
    if isinstance(layout, str):
        # A ConvLSTM may have steps before its channels.
        positions = getattr(getattr(layer, "cell", None), "rank", rank - 2)
        return {"channels_first": rank - 1 - positions, "channels_last": rank - 1}.get(layout)
    if not call_of_keras(layer):
        return None
    if kind == "norm":
        axes = getattr(layer, "axis", None)
        axes = list(axes) if isinstance(axes, Sequence) else [axes]
        return axes[0] % rank if len(axes) == 1 and isinstance(axes[0], int) else None
    return rank - 1 if kind in _LAST else None


def permuted_axis(layer: Any, rank: int, source: int | None) -> int | None:
    """`channel_axis`, or where a layer that permutes axes moves the channels of its input."""
    order = permutation(layer, rank)
    if order is None or source is None:
        return channel_axis(layer, rank)
    return order.index(source)


def permutation(layer: Any, rank: int) -> tuple[int, ...] | None:
    """For each axis of a layer's output, which axis of its input it is; None where the layer is none that permutes."""
    name = type(layer).__name__ if call_of_keras(layer) else ""
    if name == "Permute":
        return (0, *layer.dims)
    if name == "Transpose":
        return tuple(axis % rank for axis in layer.axes or range(rank)[::-1])
    if name == "Swapaxes":
        return tuple(np.swapaxes(np.empty((0, *range(1, rank))), layer.axis1, layer.axis2).shape)
    if name == "Moveaxis":
        return tuple(np.moveaxis(np.empty((0, *range(1, rank))), layer.source, layer.destination).shape)
    return None


def reshaped_axis(before: Sequence[int], after: Sequence[int], axis: int) -> int | None:
    """Where the axis of a tensor is after a reshape: as long as before, and with as many values behind it."""
    if axis >= len(before):
        return None
    length, behind = before[axis], prod(before[axis + 1 :])
    found = [i for i in range(1, len(after)) if after[i] == length and prod(after[i + 1 :]) == behind]
    return found[-1] if found and length and behind else None


def vectors(layer: Any) -> tuple[int, ...]:
    """The lengths that the channels of a layer's output can have, by its own weights; for `LayerFacts`."""
    filters = getattr(layer, "filters", None)
    if kind_of(layer) == "convolution" and isinstance(filters, int):
        return (filters,)
    if not isinstance(layer, keras.Layer):
        return ()
    inner = {id(variable) for child in child_layers(layer) for variable in child.weights}
    own = [variable for variable in layer.weights if id(variable) not in inner]
    return tuple(sorted({int(variable.shape[0]) for variable in own if len(variable.shape) == 1}))


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

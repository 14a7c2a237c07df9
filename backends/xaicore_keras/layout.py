"""Where Keras' layers keep their channels, and which of them pool."""

from __future__ import annotations

import re
from typing import Any

import keras

__all__ = ["default_axis", "is_pooling", "stated_axis"]

_POOLING_NAME = re.compile(r"Pool(ing)?(\dD)?$|^GeM")


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

"""Modules by name, and where a module has its channels."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence

import torch
from torch import nn

from xaicore import LayerError, unknown_layer
from xaicore.layers import is_pooling
from xaicore_torch.private import (
    COMPILED,
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AvgPool,
    Convolution,
    MaxPool,
    NormBase,
    compiled_module,
)

__all__ = [
    "batch_axis",
    "channel_axis",
    "find_module",
    "images_first",
    "kind_of",
    "layer_name",
    "taken_axis",
    "unwrap",
    "vectors",
]


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside DataParallel, DistributedDataParallel and torch.compile.

    A wrapper that was compiled before ignores hooks, and calling a distributed wrapper on one rank waits for the other
    ranks for ever.
    """
    while True:
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inside = model.module
        else:
            inside = compiled_module(model)
        if inside is None:
            return model
        model = inside


def find_module(model: nn.Module, name: str) -> nn.Module:
    """The module of this name, as `named_modules` of the model or of its wrappers gives it.

    Raises:
        LayerError: there is none; the message offers the nearest names.
    """
    if not isinstance(name, str):
        raise LayerError(f"layer={name!r}: expected a layer's name, as in model.named_modules()")
    unwrapped = re.sub(rf"^((module|{COMPILED})\.)+", "", name)
    for candidate in filter(None, (name, unwrapped)):
        with contextlib.suppress(AttributeError):
            return model.get_submodule(candidate)
    names = [known for known, _ in model.named_modules() if known]
    raise unknown_layer(name, names, type(model).__name__)


def layer_name(model: nn.Module, name: str) -> str:
    """The first of a module's names, without those of wrappers.

    Raises:
        LayerError: no layer has this name.
    """
    module = find_module(model, name)
    return next(first for first, known in model.named_modules() if known is module)


# Modules whose outputs have the channels on axis 1, and those that work on the last axis.
_FIRST = (
    Convolution,
    NormBase,
    nn.GroupNorm,
    nn.LocalResponseNorm,
    MaxPool,
    AvgPool,
    AdaptiveMaxPool,
    AdaptiveAvgPool,
    nn.Upsample,
    nn.PixelShuffle,
    nn.PixelUnshuffle,
)
_LAST = (nn.Linear, nn.Bilinear, nn.Embedding, nn.RNNBase, nn.MultiheadAttention)
_KINDS = {
    "convolution": (Convolution,),
    "norm": (NormBase, nn.GroupNorm, nn.LayerNorm, *([nn.RMSNorm] if hasattr(nn, "RMSNorm") else [])),
    "dense": (nn.Linear, nn.Bilinear),
    "recurrent": (nn.RNNBase,),
    "attention": (nn.MultiheadAttention,),
    "embedding": (nn.Embedding,),
}


def kind_of(module: nn.Module) -> str | None:
    """The kind of a layer, for `LayerFacts`: by its class, which may be derived from torch's."""
    if is_pooling(type(module)):
        return "pooling"
    return next((kind for kind, classes in _KINDS.items() if isinstance(module, classes)), None)


def channel_axis(module: nn.Module, ndim: int) -> int | None:
    """Where a module says that tensors of this number of axes, taken or returned, have their channels.

    A class derived from torch's says so too, unless it has a `forward` of its own: torchvision's LayerNorm2d is a
    LayerNorm that permutes.
    """
    if ndim < 2 or not type(module).forward.__module__.startswith("torch.nn."):
        return None
    if isinstance(module, _FIRST):
        return 1
    normalized = getattr(module, "normalized_shape", ())
    return ndim - 1 if isinstance(module, _LAST) or len(normalized) == 1 else None


def taken_axis(module: nn.Module, shape: Sequence[int]) -> int | None:
    """Where a module takes the channels of a tensor of this shape; None where neither it nor its weights tell."""
    axis = channel_axis(module, len(shape))
    if axis is None and isinstance(module, Convolution):
        fitting = [i for i, length in enumerate(shape) if i > 0 and length == module.in_channels]
        axis = fitting[0] if len(fitting) == 1 else None
    return axis


def vectors(module: nn.Module) -> tuple[int, ...]:
    """The lengths that the channels of a module's output can have, by its own weights; for `LayerFacts`."""
    if isinstance(module, Convolution):
        return (module.out_channels,)
    return tuple(sorted({len(parameter) for parameter in module.parameters(recurse=False) if parameter.ndim == 1}))


def batch_axis(module: nn.Module) -> int:
    """Where a module says that its outputs have the images: recurrent layers and attention may have time first."""
    return 1 if getattr(module, "batch_first", None) is False and isinstance(module, _LAST) else 0


def images_first(module: nn.Module, taken: torch.Tensor) -> torch.Tensor:
    """What a module takes, with the images on the first axis, also where a recurrent layer has time there."""
    return taken.transpose(0, 1) if batch_axis(module) == 1 and taken.ndim > 2 else taken

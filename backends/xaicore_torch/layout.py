"""Names and layouts of torch's layers."""

from __future__ import annotations

import difflib
import re

import torch
from torch import nn

from xaicore import LayerError

__all__ = ["channels_last", "find_module", "is_pooling", "unwrap"]

# These classes themselves: torchvision's and timm's LayerNorm2d are subclasses with another layout.
_ON_LAST_AXIS = (nn.Linear, nn.LayerNorm)
_POOLING_NAME = re.compile(r"Pool(ing)?(\dd)?$|^GeM")


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside DataParallel, DistributedDataParallel and torch.compile.

    Hooks never fire in a wrapper that was compiled before they came, and calling a distributed wrapper on one
    rank alone waits for the others for ever.
    """
    while True:
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        elif "_orig_mod" in model._modules:
            model = model._orig_mod
        else:
            return model


def find_module(model: nn.Module, name: str) -> nn.Module:
    """The module of this name, as `named_modules` of the model or of its wrappers gives it.

    Raises:
        LayerError: there is none; the nearest names are offered.
    """
    modules = dict(model.named_modules())
    bare = re.sub(r"^((module|_orig_mod)\.)+", "", name)
    for candidate in (name, bare):
        if candidate and candidate in modules:
            return modules[candidate]
    names = [known for known in modules if known]
    near = difflib.get_close_matches(name, names, 5, 0.4)
    offered = f"nearest names: {', '.join(near)}" if near else f"its last layers: {', '.join(names[-5:])}"
    raise LayerError(f"no layer called {name!r} in {type(model).__name__}; {offered}")


def is_pooling(module: nn.Module) -> bool:
    """Whether a module is a pooling layer, torch's own or one that calls itself so."""
    return _POOLING_NAME.search(type(module).__name__) is not None


def channels_last(module: nn.Module, output: torch.Tensor) -> bool:
    """Whether a module's output (N, *S, C) has its channels at the end, as inside Swin and ConvNeXt.

    True for Linear and LayerNorm over pictures, and for a block of such layers, whose output is as long on its
    last axis as the last of them makes it, and not on axis 1.
    """
    if output.ndim < 4:
        return False
    if type(module) in _ON_LAST_AXIS:
        return True
    inner = [m for m in module.modules() if type(m) in _ON_LAST_AXIS]
    if not inner:
        return False
    last = inner[-1]
    features = last.out_features if isinstance(last, nn.Linear) else last.normalized_shape[-1]
    return output.shape[-1] == features != output.shape[1]

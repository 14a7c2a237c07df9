"""Names and layouts of torch's layers."""

from __future__ import annotations

import contextlib
import re

from torch import nn

from xaicore import LayerError, unknown_layer
from xaicore_torch.private import COMPILED, BatchNorm, Convolution, compiled_module

__all__ = ["find_module", "is_pooling", "layout_is_plain", "on_last_axis", "unwrap"]

_POOLING_NAME = re.compile(r"Pool(ing)?(\dd)?$|^GeM")


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside DataParallel, DistributedDataParallel and torch.compile.

    Hooks never fire in a wrapper that was compiled before they came, and calling a distributed wrapper on one
    rank alone waits for the others for ever.
    """
    while True:
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        elif (inside := compiled_module(model)) is not None:
            model = inside
        else:
            return model


def find_module(model: nn.Module, name: str) -> nn.Module:
    """The module of this name, as `named_modules` of the model or of its wrappers gives it.

    Raises:
        LayerError: there is none; the nearest names are offered.
    """
    if not isinstance(name, str):
        raise LayerError(f"layer={name!r}: expected a layer's name, as in model.named_modules()")
    bare = re.sub(rf"^((module|{COMPILED})\.)+", "", name)
    for candidate in filter(None, (name, bare)):
        with contextlib.suppress(AttributeError):
            return model.get_submodule(candidate)
    names = [known for known, _ in model.named_modules() if known]
    raise unknown_layer(name, names, type(model).__name__)


def is_pooling(module: nn.Module) -> bool:
    """Whether a module is a pooling layer, torch's own or one that calls itself so."""
    return any(_POOLING_NAME.search(base.__name__) for base in type(module).__mro__)


def on_last_axis(module: nn.Module) -> bool:
    """Whether a module works on the last axis, so that its maps are (N, *S, C).

    These classes themselves: torchvision's and timm's LayerNorm2d are subclasses with another layout.
    """
    return type(module) in (nn.Linear, nn.LayerNorm)


def layout_is_plain(model: nn.Module, module: nn.Module) -> bool:
    """Whether a layer's layout is certain without a look at a pass.

    Only blocks of layers on the last axis, and what follows these, can have their channels at the end; such
    models have a LayerNorm somewhere, or the block itself a Linear.
    """
    if on_last_axis(module) or isinstance(module, (Convolution, BatchNorm)):
        return True
    normalized = any(type(part) is nn.LayerNorm for part in model.modules())
    return not normalized and not any(type(part) is nn.Linear for part in module.modules())

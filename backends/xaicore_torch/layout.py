"""Modules by name, and where a module has its channels."""

from __future__ import annotations

import contextlib
import re

from torch import nn
from torch.nn.utils import parametrize

from xaicore import LayerError, unknown_layer
from xaicore_torch.private import COMPILED, BatchNorm, Convolution, compiled_module

__all__ = ["find_module", "is_channels_last", "layout_is_known", "unwrap"]


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


def is_channels_last(module: nn.Module) -> bool:
    """Whether a module's maps are (N, *S, C), since it works on the last axis.

    Only these classes themselves: the LayerNorm2d of torchvision and timm are subclasses with another layout.
    """
    return _class_of(module) in (nn.Linear, nn.LayerNorm)


def layout_is_known(model: nn.Module, module: nn.Module) -> bool:
    """Whether the module's layout is certain without a pass that shows it.

    Channels come last only in modules that work on the last axis, in blocks of such modules, and in what follows. A
    model with such blocks has a LayerNorm, or a Linear in the block or before it. A Linear that is defined after the
    module is taken for the classifier.
    """
    if is_channels_last(module) or isinstance(module, (Convolution, BatchNorm)):
        return True
    is_before = True
    for part in model.modules():
        cls = _class_of(part)
        if cls is nn.LayerNorm or (is_before and cls is nn.Linear):
            return False
        is_before = is_before and part is not module
    return not any(_class_of(part) is nn.Linear for part in module.modules())


def _class_of(module: nn.Module) -> type[nn.Module]:
    """The module's class before a parametrization gave it a class of its own."""
    cls = type(module)
    return parametrize.type_before_parametrizations(module) if cls.__module__ == parametrize.__name__ else cls

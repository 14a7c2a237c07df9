"""The model as it was found, whatever happens in between."""

from __future__ import annotations

import contextlib
import random
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from operator import is_
from typing import Any

import numpy as np
import torch
from torch import nn

__all__ = ["left_as_found", "may_write"]

_locks: weakref.WeakKeyDictionary[nn.Module, threading.RLock] = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def left_as_found(
    model: nn.Module, device: torch.device, is_kept: Callable[[nn.Module], bool] | None = None
) -> Iterator[None]:
    """Run the model in evaluation mode, without recording, and restore everything on the way out.

    Training flags are kept module by module (a frozen BatchNorm in a training model stays frozen) and set
    directly: an overridden `train()` may do more, such as merging adapter weights. One thread a model: hooks
    and flags are the model's, not the thread's. What a forward() changes inside of its own lists and
    dictionaries stays changed. `is_kept` chooses the modules whose attributes and buffers are kept: by default those
    that `may_write`.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_locks.setdefault(model, threading.RLock()))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        if torch.is_autocast_enabled(device.type):
            # Casts of weights made here without grad must not be served to the caller's own training pass.
            dtype = torch.get_autocast_dtype(device.type)
            stack.enter_context(torch.autocast(device.type, dtype, cache_enabled=False))
        if "torch._dynamo" in sys.modules:  # compiled modules skip hooks that came after compiling
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(_random_state(device))
        modules = list(model.modules())
        stack.enter_context(_attributes(list(filter(is_kept or may_write, modules))))
        training = [module for module in modules if module.training]
        try:
            for module in training:
                module.training = False
            yield
        finally:
            for module in training:
                module.training = True


@contextlib.contextmanager
def _random_state(device: torch.device) -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002 (the state that models draw from)
    others = [] if device.type == "cpu" else [device]
    kind = "cuda" if device.type == "cpu" else device.type
    try:
        with torch.random.fork_rng(others, device_type=kind):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def may_write(module: nn.Module) -> bool:
    """Whether a forward pass in evaluation mode may set attributes or write buffers of this module.

    torch's own layers do neither, unless a hook does it for them (as the old weight_norm does); and a look at
    each of them would cost more than the rest of this file.
    """
    if isinstance(module, torch.jit.ScriptModule):  # its attributes lie in C++
        return False
    ours = type(module).__module__.startswith("torch.nn.modules.")
    return not ours or bool(module._forward_pre_hooks) or bool(module._forward_hooks)


@contextlib.contextmanager
def _attributes(modules: list[nn.Module]) -> Iterator[None]:
    """Keep attributes and buffers; the pass works on copies of the buffers.

    Copies, because a write into the caller's own tensor could not be taken back: a training step that has saved
    it for its backward pass would see that it was touched, even where the values are put back.
    """
    kept: list[tuple[dict[str, Any], dict[str, Any]]] = []
    copies: dict[int, torch.Tensor] = {}  # a buffer that two modules share stays shared
    for module in modules:
        kept += [(where, dict(where)) for where in (module._buffers, vars(module))]
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = copies.setdefault(id(buffer), buffer.clone())
    try:
        yield
    finally:
        for where, before in kept:
            if where.keys() != before.keys() or not all(map(is_, where.values(), before.values())):
                where.clear()
                where.update(before)

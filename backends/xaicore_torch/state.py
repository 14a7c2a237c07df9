"""The model as it was found, whatever happens in between."""

from __future__ import annotations

import contextlib
import random
import sys
import threading
import weakref
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

__all__ = ["left_as_found"]

_locks: weakref.WeakKeyDictionary[nn.Module, threading.RLock] = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def left_as_found(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Run the model in evaluation mode, without recording, and restore everything on the way out.

    Training flags are kept module by module (a frozen BatchNorm in a training model stays frozen) and set
    directly: an overridden `train()` may do more, such as merging adapter weights. One thread a model: hooks
    and flags are the model's, not the thread's.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_locks.setdefault(model, threading.RLock()))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        if torch.is_autocast_enabled(device.type):
            # Casts of weights made here without grad would be served to the caller's own training pass.
            dtype = torch.get_autocast_dtype(device.type)
            stack.enter_context(torch.autocast(device.type, dtype, cache_enabled=False))
        if "torch._dynamo" in sys.modules:  # compiled modules skip hooks that came after compiling
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(_random_state(device))
        modules = list(model.modules())
        stack.enter_context(_buffers(modules))
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
    sources = [torch] if device.type == "cpu" else [torch, torch.get_device_module(device)]
    states = [source.get_rng_state() for source in sources]
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (the state that models draw from)
    try:
        yield
    finally:
        for source, state in zip(sources, states, strict=True):
            source.set_rng_state(state)
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


@contextlib.contextmanager
def _buffers(modules: list[nn.Module]) -> Iterator[None]:
    """Put buffers back that a forward pass writes in evaluation mode: counters, caches, observers.

    torch's own layers write none there, and copying the statistics of every BatchNorm would cost more than the
    rest of this file.
    """
    kept = [
        (module, name, buffer, buffer.clone())
        for module in modules
        if not type(module).__module__.startswith("torch.nn.modules.")
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    try:
        yield
    finally:
        for module, name, buffer, before in kept:
            module._buffers[name] = buffer
            buffer.copy_(before)

"""Running a model without changing it."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from operator import is_
from typing import Any

import torch
from torch import nn

from xaicore.randomness import preserved
from xaicore_torch.private import (
    eager,
    has_forward_hooks,
    has_forward_pre_hooks,
    hook_tables,
    own_buffers,
    parametrizations_uncached,
)
from xaicore_torch.recurrent import without_cudnn

__all__ = ["may_mutate", "preserved_model", "recorded_weights"]

_locks: weakref.WeakKeyDictionary[nn.Module, threading.RLock] = weakref.WeakKeyDictionary()


def may_mutate(module: nn.Module) -> bool:
    """Whether a forward pass in evaluation mode may set attributes or write to buffers of this module itself.

    PyTorch's own layers do neither, unless a hook does it for them, as the old `weight_norm` does. To keep the state of
    each of them would cost more than everything else around a pass.
    """
    if isinstance(module, torch.jit.ScriptModule):  # its attributes lie in C++
        return False
    is_torchs_own = type(module).__module__.startswith("torch.nn.modules.")
    return not is_torchs_own or has_forward_pre_hooks(module) or has_forward_hooks(module)


@contextlib.contextmanager
def preserved_model(
    model: nn.Module, device: torch.device, mutable: Callable[[nn.Module], bool] = may_mutate
) -> Iterator[None]:
    """Put the model into evaluation mode, without recording, and restore all of its state on exit.

    Restored are training flags, attributes, buffers and hooks of the model's modules, Python's, NumPy's and torch's
    random states, and the modes of the caller's thread: grad, inference, autocast. Not restored is what a forward pass
    changes inside of its own lists and dictionaries.

    Training flags are set module by module, since a frozen BatchNorm in a training model stays frozen, and without
    `train()`, since an override may do more, such as merging an adapter's weights. Flags and hooks belong to the model
    and not to a thread, so one thread at a time may enter for the same model.

    A weight with a parametrization is computed whenever it is read, and in training mode that may write to the
    parametrization's buffers, as spectral_norm does: read such weights only in here.

    Args:
        model: without wrappers.
        device: where the model runs.
        mutable: selects the modules whose attributes and buffers are restored.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_locks.setdefault(model, threading.RLock()))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        if torch.is_autocast_enabled(device.type):
            # Casts of weights made here without grad must not be served to the caller's own training pass.
            dtype = torch.get_autocast_dtype(device.type)
            stack.enter_context(torch.autocast(device.type, dtype, cache_enabled=False))
        stack.enter_context(eager())
        stack.enter_context(_random_state(device))
        modules = list(model.modules())
        stack.enter_context(parametrizations_uncached(modules))
        stack.enter_context(_attributes([module for module in modules if mutable(module)]))
        stack.enter_context(_hooks(modules))
        stack.enter_context(without_cudnn(modules))
        stack.enter_context(_flipped("training", [module for module in modules if module.training]))
        yield


def recorded_weights(model: nn.Module) -> contextlib.AbstractContextManager[None]:
    """Let autograd record what a frozen model makes of its weights alone, as it does of one that trains."""
    frozen = [one for one in model.parameters() if not one.requires_grad and not one.is_inference()]
    return _flipped("requires_grad", [one for one in frozen if one.is_floating_point()])


@contextlib.contextmanager
def _flipped(flag: str, holders: Sequence[Any]) -> Iterator[None]:
    """The opposite value of a flag, in all of its holders."""
    before = [getattr(holder, flag) for holder in holders]
    try:
        for holder, value in zip(holders, before, strict=True):
            setattr(holder, flag, not value)
        yield
    finally:
        for holder, value in zip(holders, before, strict=True):
            setattr(holder, flag, value)


@contextlib.contextmanager
def _random_state(device: torch.device) -> Iterator[None]:
    """Restore the random states of Python, NumPy, torch's CPU and the device."""
    others = [] if device.type == "cpu" else [device]
    with preserved(), torch.random.fork_rng(others, device_type=device.type):
        yield


@contextlib.contextmanager
def _attributes(modules: list[nn.Module]) -> Iterator[None]:
    """Restore attributes and buffers; code in between works on copies of the buffers.

    Copies, because a write to the caller's own tensor cannot be undone: a training step that has saved the tensor for
    its backward pass notices the write, even where the values are restored.
    """
    before: list[tuple[dict[str, Any], dict[str, Any]]] = []
    copies: dict[int, torch.Tensor] = {}  # a buffer that two modules share stays shared
    for module in modules:
        buffers = own_buffers(module)
        before += [(buffers, dict(buffers)), (vars(module), dict(vars(module)))]
        for name, buffer in buffers.items():
            if buffer is not None:
                buffers[name] = copies.setdefault(id(buffer), buffer.clone())
    try:
        yield
    finally:
        for current, values in before:
            if current.keys() != values.keys() or not all(map(is_, current.values(), values.values())):
                current.clear()
                current.update(values)


@contextlib.contextmanager
def _hooks(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Remove hooks that a model sets in its own pass.

    Transformers sets them once, and notes in an attribute that it did: as the attribute is restored, hooks that stayed
    would be set a second time.
    """
    tables = [table for one in modules if not isinstance(one, torch.jit.ScriptModule) for table in hook_tables(one)]
    empty = [table for table in tables if not table]  # nearly all of them, and quick to look through
    filled = [(table, dict(table)) for table in tables if table]
    try:
        yield
    finally:
        for table in filter(None, empty):
            table.clear()
        for table, values in filled:
            if table.keys() != values.keys():
                table.clear()
                table.update(values)

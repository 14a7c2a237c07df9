"""Forward hooks for the length of one pass."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from xaicore import LayerError

__all__ = ["Hooks", "PassStopped"]

Hook = Callable[[str, nn.Module, tuple[Any, ...], Any], Any]
"""`hook(name, module, arguments, output)`: returns what replaces the module's output, or None."""


Before = Callable[[str, nn.Module, tuple[Any, ...]], Any]
"""`before(name, module, arguments)`."""


class PassStopped(BaseException):
    """A hook has what it wants, and ends the pass. Not an Exception, which a model may catch."""


class Hooks:
    """`with Hooks({name: module}, hook): model(x)` calls `hook(name, module, args, output)` after each module.

    With `before`, `before(name, module, args)` is called ahead of each, too.

    Only passes of the thread that entered are hooked, and of several nested `Hooks` only the innermost: another thread
    may use the model meanwhile, and a pass may contain another explanation.
    """

    _entered = threading.local()

    def __init__(self, modules: Mapping[str, nn.Module], hook: Hook, before: Before | None = None) -> None:
        self._modules = modules
        self._hook = hook
        self._before = before
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Hooks:
        try:
            for name, module in self._modules.items():
                if isinstance(module, torch.jit.ScriptModule):
                    raise LayerError(
                        f"layer {name!r} is TorchScript, which has no hooks: name another, or explain the model "
                        "that it was made from"
                    )
                self._handles.append(module.register_forward_hook(self._wrap(name), with_kwargs=True))
                if self._before is not None:
                    ahead = self._wrap_before(name, self._before)
                    self._handles.append(module.register_forward_pre_hook(ahead, with_kwargs=True))
        except BaseException:
            self._remove()
            raise
        self._stack().append(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack().remove(self)
        self._remove()

    def _wrap(self, name: str) -> Callable[[nn.Module, Any, Any, Any], Any]:
        def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
            stack = self._stack()
            arguments = (*args, *kwargs.values())
            return self._hook(name, module, arguments, output) if stack and stack[-1] is self else None

        return hook

    def _wrap_before(self, name: str, before: Before) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
            stack = self._stack()
            if stack and stack[-1] is self:
                before(name, module, (*args, *kwargs.values()))

        return hook

    def _remove(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _stack(self) -> list[Hooks]:
        """The `Hooks` that this thread has entered."""
        if not hasattr(self._entered, "stack"):
            self._entered.stack = []
        stack: list[Hooks] = self._entered.stack
        return stack

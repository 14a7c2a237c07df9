"""Forward hooks for the length of one pass."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from xaicore import LayerError

__all__ = ["Hooks"]

Hook = Callable[[str, nn.Module, tuple[Any, ...], Any], Any]


class Hooks:
    """`with Hooks({name: module}, hook): model(x)` calls `hook(name, module, args, answer)` as each one answers.

    It is called in the thread that entered, and only by the innermost of several passes that are under way
    there: the caller's own use of the model, in another thread or inside of a pass, is not ours.
    """

    _under_way = threading.local()

    def __init__(self, modules: Mapping[str, nn.Module], hook: Hook) -> None:
        self._modules = modules
        self._hook = hook
        self._handles: list[Any] = []

    def __enter__(self) -> Hooks:
        try:
            for name, module in self._modules.items():
                if isinstance(module, torch.jit.ScriptModule):
                    raise LayerError(
                        f"layer {name!r} is TorchScript, which has no hooks: name another, or explain the model "
                        "that it was made from"
                    )
                self._handles.append(module.register_forward_hook(self._wrap(name)))
        except BaseException:
            self._remove()
            raise
        self._stack().append(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack().remove(self)
        self._remove()

    def _wrap(self, name: str) -> Callable[[nn.Module, Any, Any], Any]:
        def hook(module: nn.Module, args: Any, answer: Any) -> Any:
            stack = self._stack()
            return self._hook(name, module, args, answer) if stack and stack[-1] is self else None

        return hook

    def _remove(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _stack(self) -> list[Hooks]:
        if not hasattr(self._under_way, "stack"):
            self._under_way.stack = []
        return self._under_way.stack

"""Recurrent layers on CUDA."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

__all__ = ["without_cudnn"]


@contextlib.contextmanager
def without_cudnn(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Run the recurrent layers among these modules without cuDNN, whose RNNs differentiate in training mode only.

    Other layers keep it, as do passes outside. Outputs differ by the rounding of another kernel.
    """
    before: list[bool] = []

    def switch_off(module: nn.Module, args: Any) -> None:
        before.append(torch.backends.cudnn.enabled)
        torch.backends.cudnn.enabled = False

    def switch_back(module: nn.Module, args: Any, output: Any) -> None:
        torch.backends.cudnn.enabled = before.pop()

    def restore() -> None:
        if before:  # torch calls no hooks behind a KeyboardInterrupt
            torch.backends.cudnn.enabled = before[0]

    with contextlib.ExitStack() as stack:
        stack.callback(restore)
        for module in modules:
            if isinstance(module, nn.RNNBase) and not isinstance(module, torch.jit.ScriptModule):
                stack.callback(module.register_forward_pre_hook(switch_off).remove)
                stack.callback(module.register_forward_hook(switch_back, always_call=True).remove)
        yield

"""A copy of a model that computes in another precision."""

from __future__ import annotations

import copy

import torch
from torch import nn

from xaicore import BackendError, InputError
from xaicore.backend import PRECISIONS

__all__ = ["in_precision"]


def in_precision(model: nn.Module, precision: str) -> nn.Module:
    """A copy whose floating-point weights and buffers have this type; the weights of 2-D convolutions channels last.

    Convolutions then keep their results channels last, which is their fastest layout on CPUs and on GPUs in half
    precision.

    Raises:
        InputError: no such precision.
        BackendError: the model cannot be copied.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision={precision!r}: expected one of {', '.join(map(repr, PRECISIONS))}")
    try:
        copied = copy.deepcopy(model)
    except Exception as exc:
        raise BackendError(
            f"the model cannot be copied, {type(exc).__name__}: {exc}; to compute in {precision}, pass a model that is "
            f"in it, such as model.to(torch.{precision})"
        ) from exc
    copied.to(getattr(torch, precision))
    for part in copied.modules():
        if isinstance(part, nn.Conv2d):
            part.weight.data = part.weight.data.contiguous(memory_format=torch.channels_last)
    return copied

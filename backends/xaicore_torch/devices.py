"""A model on another device."""

from __future__ import annotations

import copy
import itertools

import torch
from torch import nn

from xaicore import BackendError

__all__ = ["devices", "on_accelerator", "on_device"]


def devices() -> tuple[str, ...]:
    """The devices that torch sees, as it names them."""
    found = ["cpu", *(f"cuda:{n}" for n in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        found.append("mps")
    return (*found, *(f"xpu:{n}" for n in range(torch.xpu.device_count())))


def on_accelerator(model: nn.Module) -> bool:
    """Whether the first weight lies on a device with its own memory; "mps" shares the CPU's, and has no float64."""
    first = next(itertools.chain(model.parameters(), model.buffers()), None)
    return first is not None and first.device.type in ("cuda", "xpu")


def on_device(model: nn.Module, device: str) -> nn.Module:
    """The model itself where all of its parameters and buffers lie on this device, else a copy that is moved there.

    Raises:
        BackendError: the model cannot be copied or moved.
    """
    wanted = torch.empty(0, device=device).device
    if all(tensor.device == wanted for tensor in itertools.chain(model.parameters(), model.buffers())):
        return model
    try:
        moved: nn.Module = copy.deepcopy(model).to(device)
    except Exception as exc:
        raise BackendError(
            f"the model cannot be copied to {device}, {type(exc).__name__}: {exc}; pass a function that builds it"
        ) from exc
    return moved

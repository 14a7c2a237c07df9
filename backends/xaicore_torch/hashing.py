"""A hash of a model's weights."""

from __future__ import annotations

import hashlib

import torch
from torch import nn
from torch.nn.parameter import is_lazy

__all__ = ["weights_hash"]


def weights_hash(model: nn.Module) -> str | None:
    """A hash of all that `state_dict` has, 32 hexadecimal digits; None while some of it has no values.

    It is the same on every device, and differs with the precision.
    """
    found = hashlib.blake2b(digest_size=16)
    for name, tensor in model.state_dict(keep_vars=True).items():
        if not isinstance(tensor, torch.Tensor):  # extra state
            found.update(f"{name} {type(tensor)}".encode())
            continue
        if is_lazy(tensor) or tensor.is_meta:
            return None
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(_bytes(tensor.detach()))
    return found.hexdigest()


def _bytes(tensor: torch.Tensor) -> bytes:
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    elif tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    flat = tensor.cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()

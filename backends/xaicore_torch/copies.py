"""Copies of tensors on the host: the one place where a pass waits for an accelerator."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

__all__ = ["Copies", "to_device", "to_host"]


class Copies:
    """Copies of tensors on their way to the host, float32, since NumPy has no bfloat16.

    From CUDA they go through pinned memory, behind what the device still computes, and nothing waits for them but
    `arrays`, once for all. A tensor on the CPU shares its memory with its array, unless its type differs.
    """

    def __init__(self, tensors: Iterable[torch.Tensor]) -> None:
        tensors = [tensor.detach() for tensor in tensors]
        devices = {tensor.device for tensor in tensors if tensor.device.type == "cuda"}
        # A copy that does not wait is pinned by torch; of other devices it could be read too early.
        self._copies = [tensor.to("cpu", torch.float32, non_blocking=tensor.device in devices) for tensor in tensors]
        self._events = [torch.cuda.current_stream(device).record_event() for device in devices]

    def arrays(self) -> list[np.ndarray]:
        """The values, once they are there."""
        for event in self._events:
            event.synchronize()
        return [copy.numpy() for copy in self._copies]


def to_host(tensor: torch.Tensor) -> np.ndarray:
    """The values of one tensor as float32 on the CPU; shares the memory of such a tensor."""
    (array,) = Copies([tensor]).arrays()
    return array


def to_device(array: np.ndarray, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """An array as a tensor there; CUDA takes it from pinned memory, without a wait for what is still copied back."""
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor.to(device, dtype)
    return tensor.to(dtype).pin_memory().to(device, non_blocking=True)

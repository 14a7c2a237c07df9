"""A small net of torch that other processes build, too. It may report their moves to devices, or end them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import torch
from torch import nn


class Net(nn.Module):
    """Convolutions and a dense layer, of pictures (N, 3, H, W), H and W at least 6.

    Attributes:
        deadly: a file that ends the worker that finds it, once.
    """

    deadly = Path("none")

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU())
        self.head = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, 4)."""
        if multiprocessing.parent_process() is not None and self.deadly.exists():
            self.deadly.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.head(self.maps(x).mean((2, 3)))


def build(deadly: bool = False) -> Net:
    """The net; `deadly` ends a worker that builds it."""
    if deadly and multiprocessing.parent_process() is not None:
        os._exit(7)
    torch.manual_seed(0)
    return Net().eval()


def build_in_worker(report: str) -> Net:
    """In a worker, a move to a device is a line in `report`."""
    if multiprocessing.parent_process() is not None:
        _report_moves(report, ("cpu",))
    return build()


def build_on_ray(report: str) -> Net:
    """The same in an actor that Ray gave a GPU, which is none: torch sees one."""
    import ray

    if ray.get_gpu_ids():
        _report_moves(report, ("cpu", "cuda:0"))
    return build()


def _report_moves(report: str, devices: tuple[str, ...]) -> None:
    from xaicore_torch.backend import TorchBackend

    def moved(backend: TorchBackend, device: str) -> nn.Module:
        with open(report, "a") as file:
            file.write(f"{os.getpid()} {device} {os.environ['CUDA_VISIBLE_DEVICES']}\n")
        return backend.model

    TorchBackend.devices = lambda self: devices
    TorchBackend.on_device = moved

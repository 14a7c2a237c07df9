"""A small net of torch that other processes build, too, which writes down what they see, and may end them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import torch
from torch import nn

SEEN = "XAICORE_TESTS_SEEN"
"""A file to which each process that builds the net adds a line."""


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
    if SEEN in os.environ:
        with open(os.environ[SEEN], "a") as file:
            file.write(f"{os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES')}\n")
    torch.manual_seed(0)
    return Net().eval()


def build_on_ray(report: str) -> Net:
    """In an actor that Ray gave a GPU, which is none: torch sees one, and a move there is a line in `report`."""
    import ray

    from xaicore_torch.backend import TorchBackend

    def moved(backend: TorchBackend, device: str) -> nn.Module:
        with open(report, "a") as file:
            file.write(f"{device} of {os.environ['CUDA_VISIBLE_DEVICES']}\n")
        return backend.model

    if ray.get_gpu_ids():
        TorchBackend.devices = lambda self: ("cpu", "cuda:0")
        TorchBackend.on_device = moved
    return build()

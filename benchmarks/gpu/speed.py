"""Time and memory of a call beside the bare forward pass, on one device."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import torch

import xaicore
from benchmarks.measure import seconds
from benchmarks.nets import build

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def ratios(net: str, precision: str, batch: int, device: torch.device, rounds: int) -> tuple[float, float | None]:
    """(time, memory) of Grad-CAM of the predicted class, as ratios to the bare forward pass of the same batch.

    Both end when their result is on the host. Memory is the device's peak above the loaded model; None without CUDA.
    """
    model = build(net).to(device, PRECISIONS[precision])
    if device.type == "cuda":
        model = model.to(memory_format=torch.channels_last)
    x = torch.rand(batch, 3, 224, 224).to(device, PRECISIONS[precision])
    explainer = xaicore.Explainer(model, progress=False)

    def forward() -> None:
        with torch.inference_mode():
            model(x).float().cpu()

    def explain() -> None:
        explainer(x)

    forward(), explain()  # the layer is found, kernels are chosen
    times = []
    for _ in range(rounds):
        before, ours, after = seconds(forward), seconds(explain), seconds(forward)
        times.append(2 * ours / (before + after))
    if device.type != "cuda":
        return median(times), None
    return median(times), _peak(explain, device) / _peak(forward, device)


def _peak(call: Callable[[], Any], device: torch.device) -> int:
    gc.collect()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    call()
    return max(torch.cuda.max_memory_allocated(device) - before, 1)


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Matrix products and convolutions without TensorFloat-32, which rounds to ten bits."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before

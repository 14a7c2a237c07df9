"""`python -m benchmarks.gpu`: values against the CPU, state, recurrent layers, memory, and time beside a forward pass.

Six minutes at most: rows that would start later are left out, and named. Exit status 1 where a check failed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.gpu import checks, reducing, speed, workers
from benchmarks.gpu.verdict import show
from benchmarks.nets import build
from xaicore_torch.backend import TorchBackend

NETS = ("ResNet-50", "ViT-B/16")


def main() -> None:
    """Check, measure, and print two tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options.add_argument("--batches", type=int, nargs="+", default=[32, 256])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--minutes", type=float, default=6.0, help="no row starts later than this (default: 6)")
    chosen = options.parse_args()
    device = torch.device(chosen.device)
    end = time.monotonic() + 60 * chosen.minutes
    console = Console(width=110)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU: figures of the CPU"
    console.print(f"torch {torch.__version__} on {device}: {name}")
    failed = _check(console, device)
    x = torch.rand(2, 3, 224, 224).to(device)
    reducing.travelled(console, TorchBackend, build("ResNet-50").to(device), x, "ResNet-50")
    _measure(console, device, chosen, end)
    failed += _measure_jax(console, chosen, end)
    sys.exit(1 if failed else 0)


def _check(console: Console, device: torch.device) -> int:
    with speed.full_precision():
        verdicts = [*checks.values(device), *checks.recurrent(device), *checks.state(device), *checks.reduced(device)]
    if device.type == "cuda":
        verdicts += workers.several([f"cuda:{n}" for n in range(torch.cuda.device_count())])
    else:
        console.print("left out, it needs a GPU: devices=, a worker per GPU")
    return show(console, verdicts)


def _measure(console: Console, device: torch.device, chosen: argparse.Namespace, end: float) -> None:
    table = Table("net", "precision", "batch", "time", "memory", title="Grad-CAM beside a bare forward pass, torch")
    left = [(net, precision, batch) for batch in chosen.batches for precision in speed.PRECISIONS for net in NETS]
    while left and time.monotonic() < end:
        net, precision, batch = left.pop(0)
        if net == "ViT-B/16" and importlib.util.find_spec("transformers") is None:
            table.add_row(net, precision, str(batch), "needs transformers", "")
            continue
        took, held = speed.ratios(net, precision, batch, device, chosen.rounds)
        table.add_row(net, precision, str(batch), f"{took:.3f}", "-" if held is None else f"{held:.3f}")
    console.print(table)
    for row in left:
        console.print("left out, the time is over:", *row)


def _measure_jax(console: Console, chosen: argparse.Namespace, end: float) -> int:
    if any(importlib.util.find_spec(name) is None for name in ("jax", "keras")):
        console.print("JAX: left out, jax or keras is not installed")
        return 0
    rows = ("--rounds", str(chosen.rounds), "--batches", *map(str, chosen.batches))
    command = [sys.executable, "-m", "benchmarks.gpu.jax_speed", *rows]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    console.print("Grad-CAM beside a bare forward pass, Keras on JAX: net, precision, batch, time")
    try:
        return subprocess.run(command, env=environment, check=False, timeout=max(end - time.monotonic(), 1)).returncode
    except subprocess.TimeoutExpired:
        console.print("left out, the time is over: the other rows of JAX")
        return 0


if __name__ == "__main__":
    main()

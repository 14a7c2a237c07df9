"""`python -m benchmarks.compiled`: Grad-CAM of nets that `torch.compile` compiles, in float32 and bfloat16.

Times are those of the processor, relative to the net's own forward pass in float32, which runs beside each of them. It
takes minutes, as compiling does.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from statistics import median

import numpy as np
import torch
from torch import nn

import xaicore
from benchmarks.nets import build
from xaicore_torch.backend import TorchBackend

NETS = ("ResNet-50", "EfficientNet-Lite0", "ViT-B/16")


def main() -> None:
    """Measure, and print a line for each net and precision."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--nets", nargs="+", default=NETS, help="of benchmarks/nets.py")
    options.add_argument("--batch", type=int, default=8, help="pictures (default: 8)")
    options.add_argument("--rounds", type=int, default=5, help="(default: 5)")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    print("net, precision: explained, explained compiled, difference of heatmaps, seconds to compile")
    for name in chosen.nets:
        for row in _rows(name, chosen.batch, chosen.rounds):
            print(row, flush=True)


def _rows(name: str, batch: int, rounds: int) -> Iterator[str]:
    model = build(name)
    x = np.random.default_rng(0).random((batch, 3, 224, 224), np.float32)
    given = torch.from_numpy(x)

    def bare() -> None:
        with torch.inference_mode():
            model(given)

    for precision in ("float32", "bfloat16"):
        copied: nn.Module = model if precision == "float32" else TorchBackend(model).in_precision(precision)
        plain = xaicore.Explainer(copied)
        own = plain(x, 3).heatmaps()
        compiled = xaicore.Explainer(copied, backend=plain.backend.compiled(batch))
        start = time.perf_counter()
        apart = np.abs(compiled(x, 3).heatmaps() - own).max()
        took = time.perf_counter() - start
        ratios = [_ratio(lambda one=one: one(x, 3), bare, rounds) for one in (plain, compiled)]  # type: ignore[misc]
        yield f"{name}, {precision}: {ratios[0]:.2f}, {ratios[1]:.2f}, {apart:.1g}, {took:.0f}"


def _ratio(run: Callable[[], object], bare: Callable[[], object], rounds: int) -> float:
    bare(), run()
    return median(_processor(run) / _processor(bare) for _ in range(rounds))


def _processor(run: Callable[[], object]) -> float:
    """The seconds of the processor that one call takes."""
    start = time.process_time()
    run()
    return time.process_time() - start


if __name__ == "__main__":
    main()

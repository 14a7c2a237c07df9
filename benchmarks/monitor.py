"""`python -m benchmarks.monitor`: the cost of a monitor of 32 pictures during training, and the growth of memory.

"step" is a monitor's step without loggers, for which the training waits, relative to the bare forward pass over the
same pictures. "encoding" is the time of the disk logger for one step, relative to the same forward pass. "training" is
an epoch of a small net with a monitor that logs to disk, relative to an epoch without; the logger works in its own
thread ("beside") or in the training's thread ("in line").
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import xaicore
from benchmarks.measure import time_ratio, used_memory
from benchmarks.nets import NETS, build

PICTURES = 32
LIMIT = 1.3


class NullLogger(xaicore.Logger):
    """Discards all explanations."""

    def log(self, explanation: xaicore.Explanation, step: int | None = None) -> None:
        """Do nothing."""


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS), metavar="NET")
    parser.add_argument("--rounds", type=int, default=9, help="rounds per figure (default: 9)")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (default: 2)")
    parser.add_argument("--epochs", type=int, default=200, help="epochs of the memory figure (default: 200)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    console = Console()
    table = Table(title=f"{PICTURES} pictures per step; ratios to a bare forward pass over them, or to a bare epoch")
    for heading in ("net", "subject", "ratio", "limit", "rounds"):
        table.add_column(heading, justify="left" if heading in ("net", "subject") else "right")
    with console.status("measuring") as status:
        for net in options.nets:
            status.update(f"measuring {net}")
            for row in steps(net, options.rounds):
                table.add_row(net, *row)
        status.update("training a small net")
        for row in training(options.rounds):
            table.add_row("small", *row)
        status.update(f"memory over {options.epochs} epochs")
        growth = memory_growth(options.epochs)
    console.print(table)
    console.print(f"memory over {options.epochs} epochs: {growth:+.1f} MiB after the first 20, with the disk logger")


def steps(net: str, rounds: int) -> list[tuple[str, str, str, str]]:
    """The rows "step" and "encoding" of one net: (subject, ratio, limit, rounds)."""
    model, x = build(net), torch.randn(PICTURES, 3, 224, 224)

    def bare() -> None:
        with torch.inference_mode():
            model(x)

    rows = []
    with _monitor(model, x, NullLogger()) as monitor:
        ratio, undisturbed = time_ratio(_stepper(monitor), bare, rounds)
        mark = "" if ratio <= LIMIT else " !"
        rows.append(("step", f"{ratio:.2f}{mark}", f"{LIMIT}", f"{undisturbed}/{rounds}"))
        (explanation,) = monitor.step(10**6)
    with tempfile.TemporaryDirectory() as folder, xaicore.open_loggers({"disk": {"root": folder}}) as log:
        numbers = itertools.count()
        ratio, undisturbed = time_ratio(lambda: log(explanation, next(numbers)), bare, rounds)
        rows.append(("encoding (disk)", f"{ratio:.2f}", "", f"{undisturbed}/{rounds}"))
    return rows


def training(rounds: int) -> list[tuple[str, str, str, str]]:
    """The rows of the small net: an epoch with a monitor, relative to an epoch without."""
    model, x, train_epoch = small_training()
    rows = []
    for beside in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            with _monitor(model, x, {"disk": {"root": folder}}, beside=beside) as monitor:
                step = _stepper(monitor)

                def with_monitor(step: Callable[[], Any] = step) -> None:
                    train_epoch()
                    step()

                ratio, undisturbed = time_ratio(with_monitor, train_epoch, rounds)
        mode = "beside" if beside else "in line"
        rows.append((f"training, loggers {mode}", f"{ratio:.2f}", "", f"{undisturbed}/{rounds}"))
    return rows


def small_training() -> tuple[torch.nn.Module, torch.Tensor, Callable[[], None]]:
    """(a net of three convolutions for 64 x 64 pictures, pictures to watch, a function that trains one epoch)."""
    torch.manual_seed(0)
    nn = torch.nn
    convolutions = [nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 1, 1), nn.ReLU(), nn.Conv2d(64, 64, 3)]
    model = nn.Sequential(*convolutions, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    x, y = torch.randn(64, 3, 64, 64), torch.randint(10, (64,))

    def train_epoch() -> None:
        for _ in range(25):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()

    return model, torch.randn(PICTURES, 3, 64, 64), train_epoch


def memory_growth(epochs: int) -> float:
    """MiB by which this process grows from epoch 20 to the last epoch, with the disk logger."""
    model, x, _ = small_training()
    with tempfile.TemporaryDirectory() as folder:
        with _monitor(model, x, {"disk": {"root": folder}}, beside=False) as monitor:
            for epoch in range(epochs):
                monitor.step(epoch)
                if epoch == min(20, epochs - 1):
                    before = used_memory()
        return used_memory() - before


def _monitor(model: torch.nn.Module, x: torch.Tensor, loggers: Any, beside: bool = True) -> xaicore.Monitor:
    return xaicore.Monitor(model, x, loggers=loggers, batch_size=PICTURES, budget=None, beside=beside)


def _stepper(monitor: xaicore.Monitor) -> Callable[[], Any]:
    """A function that makes the monitor's next step; warmed up."""
    numbers = itertools.count()

    def step() -> None:
        monitor.step(next(numbers))

    step()
    return step


if __name__ == "__main__":
    main()

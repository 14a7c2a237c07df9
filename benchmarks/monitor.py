"""`python -m benchmarks.monitor`: what watching 32 pictures costs a training, as ratios, and whether memory grows.

"step" is a monitor's step without any logger against the bare forward pass over the same pictures, which is what the
training waits for. "encoding" is what the disk logger takes for them, in units of the same forward pass. "training"
compares epochs of a small training with and without a monitor that logs to disk, in a thread beside it or in line.
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
from benchmarks.measure import held, time_ratio
from benchmarks.nets import NETS, build

PICTURES = 32
LIMIT = 1.3


class Nothing(xaicore.Logger):
    """Takes everything and does nothing."""

    def log(self, explanation: xaicore.Explanation, step: int | None = None) -> None:
        """Nothing."""


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS), metavar="NET")
    options.add_argument("--rounds", type=int, default=9, help="rounds a figure (default: 9)")
    options.add_argument("--threads", type=int, default=2, help="threads of torch (default: 2)")
    options.add_argument("--epochs", type=int, default=200, help="epochs of the memory figure (default: 200)")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    console = Console()
    table = Table(title=f"{PICTURES} pictures a step, ratios to a bare forward pass over them")
    for heading in ("net", "subject", "ratio", "limit", "rounds"):
        table.add_column(heading, justify="left" if heading in ("net", "subject") else "right")
    with console.status("measuring") as status:
        for net in given.nets:
            status.update(f"measuring {net}")
            for row in steps(net, given.rounds):
                table.add_row(net, *row)
        status.update("training a small net")
        for row in training(given.rounds):
            table.add_row("small", *row)
        status.update(f"memory over {given.epochs} epochs")
        grown = memory(given.epochs)
    console.print(table)
    console.print(f"memory over {given.epochs} epochs: {grown:+.1f} MiB after the first 20, with the disk logger")


def steps(net: str, rounds: int) -> list[tuple[str, str, str, str]]:
    """The rows of one net."""
    model, x = build(net), torch.randn(PICTURES, 3, 224, 224)

    def bare() -> None:
        with torch.inference_mode():
            model(x)

    rows = []
    with _monitor(model, x, Nothing()) as watched:
        ratio, counted = time_ratio(_stepping(watched), bare, rounds)
        mark = "" if ratio <= LIMIT else " !"
        rows.append(("step", f"{ratio:.2f}{mark}", f"{LIMIT}", f"{counted}/{rounds}"))
        (explanation,) = watched.step(10**6)
    with tempfile.TemporaryDirectory() as folder, xaicore.open_loggers({"disk": {"root": folder}}) as log:
        numbers = itertools.count()
        ratio, counted = time_ratio(lambda: log(explanation, next(numbers)), bare, rounds)
        rows.append(("encoding (disk)", f"{ratio:.2f}", "", f"{counted}/{rounds}"))
    return rows


def training(rounds: int) -> list[tuple[str, str, str, str]]:
    """Epochs of a net of three convolutions with a monitor against epochs without."""
    model, x, epoch = small()
    rows = []
    for beside in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            with _monitor(model, x, {"disk": {"root": folder}}, beside=beside) as watched:
                step = _stepping(watched)

                def with_monitor(step: Callable[[], Any] = step) -> None:
                    epoch()
                    step()

                ratio, counted = time_ratio(with_monitor, epoch, rounds)
        where = "beside" if beside else "in line"
        rows.append((f"training, loggers {where}", f"{ratio:.2f}", "", f"{counted}/{rounds}"))
    return rows


def small() -> tuple[torch.nn.Module, torch.Tensor, Callable[[], None]]:
    """A net of 64 x 64 pictures, pictures to watch, and one epoch of its training (about two seconds)."""
    torch.manual_seed(0)
    nn = torch.nn
    convolutions = [nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 1, 1), nn.ReLU(), nn.Conv2d(64, 64, 3)]
    model = nn.Sequential(*convolutions, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    x, y = torch.randn(64, 3, 64, 64), torch.randint(10, (64,))

    def epoch() -> None:
        for _ in range(25):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()

    return model, torch.randn(PICTURES, 3, 64, 64), epoch


def memory(epochs: int) -> float:
    """MiB by which the process grows between epoch 20 and the last, logging to disk."""
    model, x, _ = small()
    with tempfile.TemporaryDirectory() as folder:
        with _monitor(model, x, {"disk": {"root": folder}}, beside=False) as watched:
            for epoch in range(epochs):
                watched.step(epoch)
                if epoch == min(20, epochs - 1):
                    before = held()
        return held() - before


def _monitor(model: torch.nn.Module, x: torch.Tensor, loggers: Any, beside: bool = True) -> xaicore.Monitor:
    return xaicore.Monitor(model, x, loggers=loggers, batch_size=PICTURES, budget=None, beside=beside)


def _stepping(watched: xaicore.Monitor) -> Callable[[], Any]:
    numbers = itertools.count()

    def step() -> None:
        watched.step(next(numbers))

    step()  # warmed up
    return step


if __name__ == "__main__":
    main()

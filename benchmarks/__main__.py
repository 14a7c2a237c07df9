"""`python -m benchmarks`: one table, each figure a ratio against a bare forward pass (or a bare import)."""

from __future__ import annotations

import argparse
import importlib.util
from functools import partial

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.measure import can_measure_memory, import_seconds, peak_memory, time_ratio
from benchmarks.nets import NETS, build
from benchmarks.subjects import OURS, PEERS, SUBJECTS

MODULES = {"grad-cam": "pytorch_grad_cam", "torchcam": "torchcam", "captum": "captum"}
LIMITS = {
    ("xaicore", 1): 1.2,
    ("xaicore", 8): 1.05,
    ("xaicore, 5 classes", 8): 1.15,
    ("xaicore, memory", 32): 1.2,
    ("import xaicore", 0): 1.3,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS), metavar="NET")
    parser.add_argument("--rounds", type=int, default=15, help="rounds a figure (default: 15)")
    parser.add_argument("--threads", type=int, default=2, help="torch threads (default: 2)")
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory figures")
    parser.add_argument("--no-peers", action="store_true", help="leave out the other libraries")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    console = Console()
    table = Table(title="Ratios against a bare forward pass, median of the undisturbed rounds")
    for heading in ("net", "batch", "subject", "ratio", "limit", "rounds", "bare vs bare"):
        table.add_column(heading, justify="left" if heading in ("net", "subject") else "right")
    peers = [] if options.no_peers else _usable_peers(console)
    with console.status("measuring") as status:
        _import_row(table)
        for net in options.nets:
            status.update(f"measuring {net}")
            _time_rows(table, net, [*OURS, *peers], options.rounds)
            if not options.no_memory and can_measure_memory():
                _memory_rows(table, net, ["xaicore", *peers])
    console.print(table)
    if not options.no_memory and not can_measure_memory():
        console.print("memory: left out, this system does not let a process reset its peak")


def _usable_peers(console: Console) -> list[str]:
    usable = []
    for name, module in MODULES.items():
        if importlib.util.find_spec(module) is None:
            console.print(f"{name}: left out, not installed (pip install 'xaicore\\[bench]')")
            continue
        try:
            PEERS[name](torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.ReLU()))
        except Exception as exc:  # a peer that does not import here must not stop the table
            console.print(f"{name}: left out, {type(exc).__name__}: {exc}")
            continue
        usable.append(name)
    return usable


def _time_rows(table: Table, net: str, subjects: list[str], rounds: int) -> None:
    model = build(net)
    runs = {name: SUBJECTS[name](model) for name in subjects}
    bare = SUBJECTS["bare"](model)
    for batch in (1, 8):
        x = torch.randn(batch, 3, 224, 224)
        forward = partial(bare, x)
        forward()
        control, _ = time_ratio(forward, forward, rounds)
        for name, run in runs.items():
            run(x)
            ratio, counted = time_ratio(partial(run, x), forward, rounds)
            _row(table, net, batch, name, ratio, f"{counted}/{rounds}", f"{control:.3f}")


def _memory_rows(table: Table, net: str, subjects: list[str], batch: int = 32) -> None:
    bare = min(peak_memory(net, "bare", batch) for _ in range(3))
    for name in subjects:
        ours = min(peak_memory(net, name, batch) for _ in range(3))
        _row(table, net, batch, f"{name}, memory", ours / bare, "3", f"{bare:.0f} MiB")


def _import_row(table: Table, rounds: int = 11) -> None:
    bare = import_seconds("import numpy, cv2, pluggy", rounds)
    again = import_seconds("import numpy, cv2, pluggy", rounds)
    ours = import_seconds("import xaicore", rounds)
    _row(table, "-", 0, "import xaicore", 2 * ours / (bare + again), str(rounds), f"{again / bare:.3f}")


def _row(table: Table, net: str, batch: int, name: str, ratio: float, rounds: str, control: str) -> None:
    limit = LIMITS.get((name, batch))
    shown = f"{ratio:.3f}" if limit is None or ratio <= limit else f"{ratio:.3f} !"
    table.add_row(net, str(batch or "-"), name, shown, f"{limit or ''}", rounds, control)


if __name__ == "__main__":
    main()

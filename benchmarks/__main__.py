"""`python -m benchmarks`: a table of time and memory, as ratios to a bare forward pass (or a bare import), for PyTorch.

For Keras: `python -m benchmarks.keras`. For a monitor during training: `python -m benchmarks.monitor`.
"""

from __future__ import annotations

from typing import Any

import torch
from rich.console import Console

from benchmarks.measure import can_measure_memory, import_seconds
from benchmarks.nets import NETS, TOKENS, build
from benchmarks.report import Report, parser, usable
from benchmarks.subjects import OURS, PEERS, SUBJECTS

MODULES = {"grad-cam": "pytorch_grad_cam", "torchcam": "torchcam", "captum": "captum"}
LIMITS = {
    ("xaicore", 1): 1.2,
    ("xaicore", 8): 1.05,
    ("xaicore, 5 classes", 8): 1.15,
    ("xaicore, memory", 32): 1.2,
    ("import xaicore", 0): 1.15,
}


def main() -> None:
    """Measure, and print the table."""
    options = parser(__doc__, NETS).parse_args()
    torch.set_num_threads(options.threads)
    console = Console()
    report = Report("Ratios to a bare forward pass, median of the undisturbed rounds", LIMITS)
    peers = [] if options.no_peers else usable(console, MODULES, _try_out, "pip install 'xaicore[bench]'")
    with console.status("measuring") as status:
        _import_row(report)
        for net in options.nets:
            status.update(f"measuring {net}")
            others = [] if net in TOKENS else peers
            _time_rows(report, net, [*OURS, *others], options.rounds)
            if not options.no_memory and can_measure_memory():
                report.memory_rows("benchmarks.memory", net, ["xaicore", *others])
    console.print(report.table)
    if not options.no_memory and not can_measure_memory():
        console.print("memory: not measured, this system does not let a process reset its peak")


def _try_out(name: str) -> Any:
    return PEERS[name](torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.ReLU()))


def _time_rows(report: Report, net: str, subjects: list[str], rounds: int) -> None:
    model = build(net)
    runs = {name: SUBJECTS[name](model) for name in subjects}
    for batch in (1, 8):
        report.time_rows(net, batch, torch.randn(batch, 3, 224, 224), SUBJECTS["bare"](model), runs, rounds)


def _import_row(report: Report, rounds: int = 11) -> None:
    before = import_seconds("import numpy, cv2, pluggy", rounds)
    after = import_seconds("import numpy, cv2, pluggy", rounds)
    ours = import_seconds("import xaicore", rounds)
    report.row("-", 0, "import xaicore", 2 * ours / (before + after), str(rounds), f"{after / before:.3f}")


if __name__ == "__main__":
    main()

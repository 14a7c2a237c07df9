"""What holds of `devices=`: a worker per GPU, each with its model there, and the rows of one process."""

from __future__ import annotations

import os
import tempfile
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

import xaicore
from benchmarks.gpu.checks import CLOSE, Small
from benchmarks.gpu.verdict import Verdict
from xaicore.dataset.schema import COLUMNS

COUNT = 24
SIDE = 32
STORED = 1e-3
"""The largest difference of a heatmap's values as a file has them, in float16."""


class Reporting(Small):
    """Adds a line to a file for each pass: the device of the pictures, and the GPUs that the process sees."""

    def __init__(self, report: str) -> None:
        super().__init__()
        self.report = report

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pictures (N, 3, H, W) to logits (N, 10)."""
        with open(self.report, "a") as file:
            file.write(f"{os.getpid()} {x.device} {os.environ.get('CUDA_VISIBLE_DEVICES')}\n")
        return super().forward(x)


def build(report: str) -> Reporting:
    """The net, on the CPU, in double precision, which TensorFloat-32 has no part in."""
    torch.manual_seed(0)
    return Reporting(report).double().eval()


def prepare(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 to (3, H, W) from 0 to 1."""
    return (picture / 255).transpose(2, 0, 1)


def several(names: list[str]) -> list[Verdict]:
    """The checks on these devices.

    Args:
        names: of GPUs, such as "cuda:0"; a single one is used by two workers.
    """
    devices = names * 2 if len(names) == 1 else names
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        _write_pictures(folder / "photos")
        model = build(str(folder / "own"))
        whole = _explain(model, folder, "whole")
        of_function = partial(_workers, partial(build, str(folder / "built")), folder, "built", devices, whole)
        moved = build(str(folder / "sent")).to(names[-1])
        of_model = partial(_workers, moved, folder, "sent", devices, whole)
        return [
            Verdict.of(f"devices={','.join(devices)}, a function that builds the model", of_function),
            Verdict.of(f"devices={','.join(devices)}, a model on {names[-1]}", of_model),
            Verdict.of(f"the model stays on {names[-1]}", lambda: _elsewhere(moved, names[-1])),
            Verdict.of(f"inputs on the CPU, a model on {names[-1]}", lambda: _moves_inputs(model, moved)),
        ]


def _write_pictures(folder: Path) -> None:
    rng = np.random.default_rng(0)
    folder.mkdir()
    for n in range(COUNT):
        cv2.imwrite(str(folder / f"{n:02}.png"), rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))


def _explain(model: object, folder: Path, name: str, devices: list[str] | None = None) -> xaicore.MapTable:
    sizes = {"shard_size": 4, "batch_size": 4, "progress": False}
    return xaicore.explain_dataset(
        model, folder / "photos", folder / f"run-{name}", targets=1, preprocess=prepare, devices=devices, **sizes
    )


def _workers(model: object, folder: Path, name: str, devices: list[str], whole: xaicore.MapTable) -> str:
    """What is wrong with a run on these devices; "" for nothing."""
    found = _explain(model, folder, name, devices)
    lines = [line.split() for line in (folder / name).read_text().splitlines()]
    seen = {(device, visible) for pid, device, visible in lines if int(pid) != os.getpid()}
    kind = torch.device(devices[0]).type
    is_right = all(torch.device(device).type == kind for device, _ in seen)
    if kind == "cuda":  # one each, which is the first that the worker sees
        is_right = is_right and all(device == "cuda:0" and "," not in visible for device, visible in seen)
    if not seen or not is_right:
        return f"passes lay on {sorted(seen)}"
    return _apart(whole, found)


def _apart(first: xaicore.MapTable, second: xaicore.MapTable) -> str:
    """How two tables differ; "" where they do not."""
    rows, others = (table.to_arrow(tuple(COLUMNS)).to_pylist() for table in (first, second))
    if [row["id"] for row in rows] != [row["id"] for row in others] or len(rows) != COUNT:
        return "other rows"
    if any(row["error"] for row in (*rows, *others)):
        return next(row["error"] for row in (*rows, *others) if row["error"])
    scores = max(abs(a["score"] - b["score"]) for a, b in zip(rows, others, strict=True))
    maps = max(np.abs(np.subtract(a["map"], b["map"])).max() for a, b in zip(rows, others, strict=True))
    return "" if scores <= CLOSE and maps <= STORED else f"scores differ by {scores:.2g}, maps by {maps:.2g}"


def _elsewhere(model: torch.nn.Module, name: str) -> str:
    found = {tensor.device for tensor in model.state_dict().values()}
    return "" if found == {torch.empty(0, device=name).device} else f"it lies on {found}"


def _moves_inputs(model: torch.nn.Module, moved: torch.nn.Module) -> str:
    x = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3)).double()
    maps = [xaicore.explain(net, x, 1, progress=False).heatmaps() for net in (model, moved)]
    apart = float(np.abs(maps[0] - maps[1]).max())
    return "" if apart <= CLOSE else f"heatmaps differ by {apart:.2g}"

"""Peak memory of one call, in MiB above the loaded model: python -m benchmarks.memory NET SUBJECT BATCH."""

from __future__ import annotations

import contextlib
import gc
import sys
from pathlib import Path

import torch

from benchmarks.nets import build
from benchmarks.subjects import SUBJECTS


def _status(key: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {key}")


def main(net: str, subject: str, batch: int) -> float:
    """MiB between the loaded model (libraries warmed up on one image) and the highest point of one call."""
    torch.set_num_threads(2)
    with contextlib.redirect_stdout(sys.stderr):
        model = build(net)
    run = SUBJECTS[subject](model)
    run(torch.randn(1, 3, 224, 224))
    x = torch.randn(batch, 3, 224, 224)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak becomes what is in use now
    before = _status("VmRSS")
    run(x)
    return _status("VmHWM") - before


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))

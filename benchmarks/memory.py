"""Peak memory of one call, in MiB above the loaded model: python -m benchmarks.memory NET SUBJECT BATCH."""

from __future__ import annotations

import contextlib
import sys
from functools import partial

import torch

from benchmarks.measure import peak_of
from benchmarks.nets import build
from benchmarks.subjects import SUBJECTS


def main(net: str, subject: str, batch: int) -> float:
    """Peak memory of one call in MiB, above the loaded model after a first call with one image."""
    torch.set_num_threads(2)
    with contextlib.redirect_stdout(sys.stderr):
        model = build(net)
    run = SUBJECTS[subject](model)
    run(torch.randn(1, 3, 224, 224))
    return peak_of(partial(run, torch.randn(batch, 3, 224, 224)))


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))

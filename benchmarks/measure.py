"""Measures time and memory, relative to the bare forward pass of the same run.

Absolute times on a shared machine mean little. Therefore a bare pass is timed before and after each timing. Rounds in
which these two differ by more than 15 % are dropped as disturbed; the result is the median of the other rounds.
"""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

DISTURBED = 0.15
"""A round is dropped if its two bare passes differ by more than this share."""


def time_ratio(subject: Callable[[], Any], bare: Callable[[], Any], rounds: int) -> tuple[float, int]:
    """(median ratio of a subject's time to that of the bare pass, number of undisturbed rounds).

    The caller has warmed up both. The ratio is nan if all rounds were disturbed.
    """
    ratios: list[float] = []
    for _ in range(rounds):
        before, time_of_subject, after = seconds(bare), seconds(subject), seconds(bare)
        if abs(before - after) <= DISTURBED * min(before, after):
            ratios.append(2 * time_of_subject / (before + after))
    return (median(ratios) if ratios else float("nan")), len(ratios)


def seconds(run: Callable[[], Any]) -> float:
    """The seconds that one call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def peak_memory(module: str, net: str, subject: str, batch: int) -> float:
    """Peak memory of one call in MiB above the loaded model (Linux), as `module` prints it, in a process of its own."""
    command = [sys.executable, "-m", module, net, subject, str(batch)]
    process = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(process.stdout.split()[-1])


def peak_of(call: Callable[[], Any]) -> float:
    """Peak memory of a call in MiB above the present memory of this process (Linux)."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak to the present memory
    before = _status("VmRSS")
    call()
    return _status("VmHWM") - before


def used_memory() -> float:
    """Memory of this process in MiB, after a garbage collection and without the allocator's free memory (Linux)."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return _status("VmRSS")


def _status(key: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {key}")


def can_measure_memory() -> bool:
    """Whether a process can read and reset its peak memory on this system."""
    return Path("/proc/self/clear_refs").exists()


def import_seconds(statement: str, rounds: int) -> float:
    """Median seconds of an import in a new process, without the start of the interpreter."""
    code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}  # bytecode is cached, as for installed packages
    run = partial(
        subprocess.run, [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    )
    run()
    return median(float(run().stdout) for _ in range(rounds))

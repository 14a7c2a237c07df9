"""Ratios of time and memory against the bare forward pass of the same run.

Absolute times of a shared machine mean little. Every figure is therefore taken between two bare passes; a
round in which these two differ by more than 15 % is dropped, and the median of the others is given.
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


def time_ratio(subject: Callable[[], Any], bare: Callable[[], Any], rounds: int) -> tuple[float, int]:
    """(median ratio, rounds that counted); the subject has been warmed up by the caller."""
    ratios: list[float] = []
    for _ in range(rounds):
        before, during, after = seconds(bare), seconds(subject), seconds(bare)
        if abs(before - after) <= DISTURBED * min(before, after):
            ratios.append(2 * during / (before + after))
    return (median(ratios) if ratios else float("nan")), len(ratios)


def seconds(run: Callable[[], Any]) -> float:
    """Of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def peak_memory(module: str, net: str, subject: str, batch: int) -> float:
    """MiB above the loaded model, of one call in a process of its own (Linux), which prints them."""
    command = [sys.executable, "-m", module, net, subject, str(batch)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def peak_of(call: Callable[[], Any]) -> float:
    """MiB between what this process holds now and the highest point of a call (Linux)."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak becomes what is in use now
    before = _status("VmRSS")
    call()
    return _status("VmHWM") - before


def held() -> float:
    """MiB that this process holds now, after a collection and without what is free but kept for later (Linux)."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return _status("VmRSS")


def _status(key: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {key}")


def can_measure_memory() -> bool:
    """Whether this system tells a process its peak and lets it be reset."""
    return Path("/proc/self/clear_refs").exists()


def import_seconds(statement: str, rounds: int) -> float:
    """Median seconds of an import in a fresh process, the interpreter's start left out."""
    code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}  # installed packages have their bytecode
    run = partial(
        subprocess.run, [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    )
    run()
    return median(float(run().stdout) for _ in range(rounds))

"""`python -m benchmarks.listing`: how long finding the plugins of many distributions takes, in 15 processes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

COUNT, LIMIT = 300, 0.05
"""Distributions beside those of this environment; the most that listing them may take, in seconds."""

CODE = """
import time
from xaicore import plugins
start = time.perf_counter()
found = plugins.installed().listing()
print(time.perf_counter() - start, len(found))
"""


def main() -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as folder:
        for i in range(COUNT):
            _install(Path(folder), i)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([folder, *filter(None, sys.path)])}
        runs = [_run(environment) for _ in range(15)]
    seconds = median(float(run[0]) for run in runs)
    print(f"{COUNT} distributions, {runs[0][1]} plugins: {1000 * seconds:.1f} ms, at most {1000 * LIMIT:g} ms")
    sys.exit(seconds > LIMIT)


def _run(environment: dict[str, str]) -> list[str]:
    command = [sys.executable, "-c", CODE]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()


def _install(folder: Path, i: int) -> None:
    """Metadata of a distribution; every tenth one has a plugin."""
    info = folder / f"many{i}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: many{i}\nVersion: 1.0\n")
    group = "xaicore.backends" if i % 10 == 0 else "console_scripts"
    (info / "entry_points.txt").write_text(f"[{group}]\nmany{i} = many{i}\n")


if __name__ == "__main__":
    main()

"""Several writers to one run that are killed and replaced, again and again: `disk_writers.py ROOT KILLS ROWS SEED`.

It ends after so many kills, or later, when there are so many rows.

They are forked, because an interpreter that has to start and import first is seldom killed while it writes.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sys
import time
from pathlib import Path

import cv2
from explanations import example

import xaicore
from xaicore_disk.logger import DiskLogger

WRITERS = 3
RUN = xaicore.Run("killed")
EXAMPLES = [example(n=2, k=2, seed=seed, method=f"method{seed % 2}") for seed in range(12)]


def write(root: Path, seed: int) -> None:
    """The same few steps and images as the other writers, with other values; closed and opened now and then."""
    parent = os.getppid()
    for attempt in itertools.count():
        write_once(root, seed + 1000 * attempt)
        if os.getppid() != parent:
            return


def write_once(root: Path, seed: int) -> None:
    logger = DiskLogger(root)
    logger.open(RUN)
    for step in range(4):
        logger.log(EXAMPLES[(seed + step) % len(EXAMPLES)], step)
    logger.close()


def start(root: Path, seed: int) -> int:
    child = os.fork()
    if child == 0:
        try:
            write(root, seed)
        finally:
            os._exit(1)  # an error, or nobody is left to kill it
    return child


def main(root: Path, kills: int, rows: int, seed: int) -> None:
    cv2.setNumThreads(1)  # threads do not survive a fork
    os.fsync = lambda _: None  # waiting for the disk helps against power failures, not against kills
    write_once(root.with_name("imports"), seed)
    random.seed(seed)
    writers = [start(root, n) for n in range(WRITERS)]
    try:
        for n in itertools.count():
            if n >= kills and len((root / "manifest.jsonl").read_bytes().splitlines()) >= rows:
                break
            time.sleep(random.uniform(0, 0.06))
            end(writers.pop(random.randrange(WRITERS)))
            writers.append(start(root, WRITERS + n))
    finally:
        while writers:
            end(writers.pop())


def end(writer: int) -> None:
    os.kill(writer, signal.SIGKILL)
    _, status = os.waitpid(writer, 0)
    assert os.WIFSIGNALED(status), "a writer failed before it was killed"


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))

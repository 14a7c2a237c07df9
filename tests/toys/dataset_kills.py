"""Kills runs over a data set at random moments, again and again: `python dataset_kills.py DIR KILLS`.

Fails where a run that came through has other bytes than an undisturbed one. Each life is a fork of this process, which
has imported everything and runs nothing itself.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from functools import partial
from pathlib import Path

from dataset_lives import begin, ended
from picture_sets import backend, slowly, write_pictures

import xaicore


def live(photos: Path, out: Path) -> None:
    options = {"preprocess": slowly, "backend": backend(), "layer": "second", "shard_size": 16, "batch_size": 4}
    xaicore.explain_dataset(object(), photos, out, resume=True, readers=1, progress=False, **options)


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "parts").iterdir()}


def killed_after(child: int, seconds: float) -> int:
    """Its exit code: it may have ended before."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    return ended(child)


def main(folder: Path, kills: int) -> None:
    photos = folder / "photos"
    write_pictures(photos, 96)
    for name in ("first", "whole"):  # the first one warms up
        started = time.monotonic()
        assert ended(begin(partial(live, photos, folder / name))) == 0
        longest = time.monotonic() - started
    whole = contents(folder / "whole")
    rng, hits, rounds = random.Random(0), 0, 0
    while hits < kills:
        out = folder / f"round-{rounds}"
        code, lives = 1, 0
        while code != 0:
            child = begin(partial(live, photos, out))
            code = killed_after(child, rng.uniform(0, longest) * (1 + lives / 4))  # longer and longer: it must end
            lives += 1
            assert code in (0, -signal.SIGKILL), code
            hits += code != 0
        assert contents(out) == whole, f"round {rounds} after {hits} kills"
        assert sorted(path.name for path in out.iterdir()) == [".lock", "parts", "run.json"]
        rounds += 1
    print(hits, "kills,", rounds, "rounds")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

"""Pictures tried in a process of their own, after one that had them in work has died.

A dead process does not say whether a picture ended it, or somebody from outside. This process stays alive and sees it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence

from xaicore.pictures import Preparation
from xaicore.source.items import Item

__all__ = ["deadly"]

CHILD = (
    "import pickle, sys; stream = sys.stdin.buffer; sys.path[:] = pickle.load(stream); "
    "from xaicore.dataset.trial import read_all; read_all(stream)"
)


def deadly(items: Sequence[Item], prepare: Preparation) -> tuple[set[int], bool]:
    """The positions of items that end a process which reads and prepares them, and whether they were prepared.

    They are read only where `prepare` cannot be sent to another process, such as a function in a function.
    """
    is_prepared = True
    try:
        payload = pickle.dumps((list(items), prepare))
        if b"__main__" in payload:  # the other process has another one
            raise pickle.PicklingError
    except Exception:
        is_prepared = False
    found: set[int] = set()
    while items:
        try:
            payload = pickle.dumps((list(items), prepare if is_prepared else None))
        except Exception:  # pictures in memory that cannot be sent: nothing is known of them
            return found, False
        done = subprocess.run(
            [sys.executable, "-c", CHILD], input=pickle.dumps(sys.path) + payload, capture_output=True, check=False
        )
        if done.returncode == 0:
            break
        tried = done.stdout.split()
        if not tried:  # it cannot even begin
            if not is_prepared:
                return found, False
            is_prepared = False
            continue
        found.add(int(tried[-1]))
        items = items[len(tried) :]
    return found, is_prepared


def read_all(stream: object) -> None:
    """Read and prepare the items that the stream has, and report the position of each before; in the other process."""
    report = os.dup(1)
    os.dup2(2, 1)  # what a preparation prints is no position
    items, prepare = pickle.load(stream)  # type: ignore[arg-type]
    for item in items:
        os.write(report, f"{item.position}\n".encode())
        with contextlib.suppress(Exception):  # is a row with an error, later
            picture = item.source.read()
            if prepare is not None:
                prepare(picture, item.id)

"""Pictures tried in a process of their own, after one that had them in work has died.

A dead process does not say whether a picture ended it, or somebody from outside. This process stays alive and sees it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from xaicore.pictures import Preparation
from xaicore.source.items import Item, prepared_as

__all__ = ["EXPLAINED", "NOTHING", "PREPARED", "READ", "deadly"]

NOTHING, READ, PREPARED, EXPLAINED = range(4)
"""How far pictures were tried."""

CHILD = (
    "import pickle, sys; stream = sys.stdin.buffer; sys.path[:] = pickle.load(stream); "
    "from xaicore.dataset.trial import try_all; try_all(stream)"
)


def deadly(
    items: Sequence[Item], prepare: Preparation | None = None, attempt: Callable[[Item], object] | None = None
) -> tuple[set[int], int]:
    """The positions of items that end a process which reads, prepares and explains them, and how far they were tried.

    They are tried as far as can be sent to another process: a model or a preparation cannot that is, for example, a
    function in a function, or of the caller's script.

    Args:
        items: of the data set.
        prepare: the run's preparation; None where items are only to be read.
        attempt: reads, prepares and explains an item, see `Attempt`; None where items are not to be explained.
    """
    found: set[int] = set()
    for far, parts in ((EXPLAINED, (None, attempt)), (PREPARED, (prepare, None)), (READ, (None, None))):
        if far != READ and parts == (None, None):
            continue
        while True:
            tried, is_alive = _try(items, parts)
            if is_alive:
                return found, far
            if not tried:  # it cannot even begin
                break
            found.add(tried[-1])
            items = items[len(tried) :]
    return found, NOTHING


def _try(items: Sequence[Item], parts: tuple[Any, ...]) -> tuple[list[int], bool]:
    """The positions that another process has begun, and whether it came to its end."""
    try:
        payload = pickle.dumps((list(items), *parts))
    except Exception:  # pictures in memory, for example, that cannot be sent
        return [], False
    if b"__main__" in payload:  # the other process has another one
        return [], False
    child = [sys.executable, "-c", CHILD]
    done = subprocess.run(child, input=pickle.dumps(sys.path) + payload, capture_output=True, check=False)
    return [int(position) for position in done.stdout.split()], done.returncode == 0


def try_all(stream: Any) -> None:
    """Do with the items what the stream says, and report the position of each before; in the other process."""
    report = os.dup(1)
    os.dup2(2, 1)  # what a preparation prints is no position
    items, prepare, attempt = pickle.load(stream)
    if attempt is not None:
        attempt.work  # noqa: B018 - what ends the process here is no item
    for item in items:
        os.write(report, f"{item.position}\n".encode())
        with contextlib.suppress(Exception):  # is a row with an error, later
            if attempt is not None:
                attempt(item)
                continue
            picture = item.read().picture
            if prepare is not None:
                prepared_as(prepare, picture, item.id)

"""Waiting for what another thread or process does."""

from __future__ import annotations

import threading
from collections.abc import Callable


def eventually(condition: Callable[[], bool], seconds: float = 60, every: float = 0.01) -> None:
    """Return as soon as this is true; fail if it is not within these seconds."""
    pause = threading.Event()
    for _ in range(int(seconds / every)):
        if condition():
            return
        pause.wait(every)
    assert condition()

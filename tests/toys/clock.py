"""Time that passes only when a test says so."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest


class Clock:
    """In the place of `time.monotonic`, `time.time` and `time.sleep`."""

    def __init__(self, now: float = 1.5e9) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """The clock of everything that looks the time up in `time`; waiting threads keep the real one."""
    clock = Clock()
    for name, value in (("monotonic", clock), ("time", clock), ("sleep", clock.sleep)):
        monkeypatch.setattr(time, name, value)
    return clock

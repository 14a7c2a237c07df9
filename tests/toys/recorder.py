"""A logger that remembers what it was given, for tests of what gives."""

from __future__ import annotations

import threading
from collections.abc import Callable

import xaicore


class Recorder(xaicore.Logger):
    """Keeps explanations and steps; `act` is called before each one and may raise or wait."""

    def __init__(self, act: Callable[[], None] | None = None) -> None:
        self.act = act
        self.run: xaicore.Run | None = None
        self.logged: list[tuple[int | None, xaicore.Explanation]] = []
        self.events: list[str] = []
        self.threads: set[threading.Thread] = set()

    def open(self, run: xaicore.Run) -> None:
        self.run = run
        self.events.append("open")

    def log(self, explanation: xaicore.Explanation, step: int | None = None) -> None:
        self.threads.add(threading.current_thread())
        if self.act is not None:
            self.act()
        self.logged.append((step, explanation))
        self.events.append(f"log {step}")

    def flush(self) -> None:
        self.events.append("flush")

    def close(self) -> None:
        self.threads.add(threading.current_thread())
        self.events.append("close")

    @property
    def steps(self) -> list[int | None]:
        return [step for step, _ in self.logged]

"""How far long work is, as lines of a log file: where nobody sees a bar move."""

from __future__ import annotations

import time
from collections import deque

__all__ = ["Pace"]

EVERY = 60.0
"""Seconds between two lines, at most, of work that goes on."""

WINDOW = 60.0
"""Seconds over which the rate is measured; more where reports come less often."""

SHORT = 5.0
"""Seconds of work without a rate: what is done before includes what had been there already, and loading."""


class Pace:
    """Says when a line is due, and what is in it: a line per tenth of the work, and one per minute in between.

    Args:
        total: how much work there is; None: nobody knows.
        what: is counted, in the plural.
    """

    def __init__(self, total: int | None, what: str) -> None:
        self._total, self._what, self._tenths = total, what, 0
        self._began = self._printed = time.monotonic()
        self._seen = deque([(self._began, 0)])

    def line(self, done: int) -> str | None:
        """The line, such as "1200 of 9000 pictures, 25.3 per second, 5 min left"; None while none is due."""
        now = self.note(done)
        tenths = done * 10 // max(self._total, 1) if self._total is not None else 0
        if tenths <= self._tenths and now - self._printed < EVERY:
            return None
        self._tenths, self._printed = tenths, now
        of = "" if self._total is None else f" of {self._total}"
        return f"{done}{of} {self._what}{self._rate(now, done)}"

    def note(self, done: int) -> float:
        """Count this for the rate, without a line; returns the time."""
        now = time.monotonic()
        if now - self._began < 1:  # what had been there already comes at once, and says nothing of the rate
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] >= WINDOW:
            self._seen.popleft()
        return now

    def _rate(self, now: float, done: int) -> str:
        (since, before), left = self._seen[0], (self._total or done) - done
        if now - self._began < SHORT or now <= since or done <= before:
            return ""
        rate = (done - before) / (now - since)
        return f", {rate:.3g} per second" + (f", {_duration(left / rate)} left" if left else "")


def _duration(seconds: float) -> str:
    """ "40 s", "5 min", "3 h 20 min", "2 d 3 h"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"

"""How long a step of a monitor may take: its `budget`, 60 seconds unless the caller says otherwise.

Once that has passed, no further batch begins; the first batch of a step always runs.
"""

from __future__ import annotations

import math
import time

__all__ = ["Deadline"]


class Deadline:
    """Runs from now on. All time in a monitor is measured here.

    Args:
        seconds: the budget; None: no limit.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._end = math.inf if seconds is None else time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left, 0 or more."""
        return max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether the budget is spent."""
        return self.left <= 0

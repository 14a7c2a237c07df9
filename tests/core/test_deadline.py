"""A budget of seconds."""

from __future__ import annotations

from clock import Clock

from xaicore.monitor.deadline import Deadline


def test_a_budget_runs_from_the_start(clock: Clock) -> None:
    clock.now = 100.0
    deadline, spent, endless = Deadline(3), Deadline(0), Deadline()
    seen = []
    for clock.now in (100.0, 102.5, 103.0, 1e9):
        seen.append((deadline.left, deadline.passed))
        assert (spent.left, spent.passed) == (0, True)
        assert (endless.left, endless.passed) == (float("inf"), False)
    assert seen == [(3, False), (0.5, False), (0, True), (0, True)]

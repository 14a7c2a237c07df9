"""When a tracker that holds numbers back until a step is complete gives them out."""

from __future__ import annotations

from collections.abc import Callable

from explanations import example

import xaicore


def check_steps(opened: xaicore.Loggers, images: Callable[[], int], steps: Callable[[], list[int]]) -> None:
    """Images are there at once, the numbers of a step after a flush, at the next step and after closing, each once.

    Args:
        opened: the tracker, before it is entered.
        images: counts the images of the run.
        steps: those whose numbers are there.
    """
    one = example(n=1, k=1)
    with opened as loggers:
        loggers(one, 0)
        assert (images(), steps()) == (2, [])
        loggers.flush()
        assert steps() == [0]
        loggers.flush()
        assert steps() == [0]
        loggers(one, 1)
        loggers(one, 2)
        loggers.flush()
        loggers(one, 3)
        assert steps() == [0, 1, 2]
    assert (images(), steps()) == (8, [0, 1, 2, 3])

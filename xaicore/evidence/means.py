"""Gradients of the pictures, averaged over changed versions of them, in batches of bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xaicore.capture import Capture
from xaicore.evidence.passes import Passes
from xaicore.evidence.progress import reported

__all__ = ["mean_gradients"]


def mean_gradients(passes: Passes, rule: str, rows: int, change: Callable[[int, slice], np.ndarray]) -> np.ndarray:
    """The mean gradient (N * views, K, C, *size) over R changed versions of each image.

    Images go one by one, so that a mean does not depend on the batch. It is summed in float64.

    Args:
        passes: of the images.
        rule: of `xaicore.backend.RULES`.
        rows: R.
        change: `change(n, rows)` makes some of the changed versions of image n, (rows * views, C, *size).
    """
    count, views = len(passes.aim.classes), passes.pictures.views
    starts = range(0, rows, passes.batch_size)
    means = []
    with reported(passes.progress, count * rows) as report:
        for n in range(count):
            total: Any = 0
            for start in starts:
                chosen = slice(start, min(start + passes.batch_size, rows))
                found = _gradients(passes, rule, n, change(n, chosen))
                total = total + found.reshape(-1, views, *found.shape[1:]).sum(axis=0, dtype=np.float64)
                report(n * rows + chosen.stop, count * rows)
            means.append((total / rows).astype(np.float32))
    return np.concatenate(means)


def _gradients(passes: Passes, rule: str, n: int, changed: np.ndarray) -> np.ndarray:
    """Gradients (R * views, K, C, *size) at changed versions of image n."""
    count = len(changed) // passes.pictures.views
    inputs = passes.pictures.changed(changed, np.full(count, n))
    direction = passes.aimed(np.full(count, n))
    take: Any = passes.backend.capture  # whose keywords a backend without the power lacks
    capture: Capture = take(inputs, (), direction, rules=(rule,), **passes.asking)
    return passes.pictures.gradients(capture.input_gradients[rule])

"""Gradients of the pictures, averaged over changed versions of them, in batches of bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from xaicore.capture import Capture
from xaicore.evidence.memory import fewer_rows
from xaicore.evidence.passes import Passes
from xaicore.evidence.progress import reported

__all__ = ["mean_gradients"]


def mean_gradients(passes: Passes, rule: str, rows: int, change: Callable[[int, slice], np.ndarray]) -> np.ndarray:
    """The mean gradient (N * views, K, C, *size) over R changed versions of each image.

    Images go one by one, so that a mean does not depend on the batch. It is summed in float64. A batch for which memory
    does not suffice is halved, and so are those after it.

    Args:
        passes: of the images.
        rule: of `xaicore.backend.RULES`.
        rows: R.
        change: `change(n, rows)` makes some of the changed versions of image n, (rows * views, C, *size).
    """
    count = len(passes.aim.classes)
    size = passes.coupling.most_rows("", count, passes.batch_size)
    means = []
    with reported(passes.progress, count * rows) as report:
        for n in range(count):
            total: Any = 0
            done = 0
            while done < rows:
                chosen = slice(done, min(done + size, rows))
                try:
                    changed = change(n, chosen)
                    capture = _captured(passes, rule, n, changed)
                    if passes.coupling.see("", capture.outputs, partial(_first_again, passes, n, changed)):
                        size = passes.coupling.most_rows("", count, size)
                        continue
                    total = total + _sum(passes, capture.input_gradients[rule])
                except Exception as exc:
                    size = fewer_rows(exc, chosen.stop - chosen.start)
                    continue
                done = chosen.stop
                report(n * rows + done, count * rows)
            means.append((total / rows).astype(np.float32))
    return np.concatenate(means)


def _captured(passes: Passes, rule: str, n: int, changed: np.ndarray) -> Capture:
    """One pass over changed versions of image n, (R * views, C, *size), with the gradients (R, K, *input) there."""
    images = np.full(len(changed) // passes.pictures.views, n)
    take: Any = passes.backend.capture  # whose keywords a backend without the power lacks
    inputs = passes.pictures.changed(changed, images)
    capture: Capture = take(inputs, (), passes.aimed(images), rules=(rule,), **passes.asking)
    return capture


def _sum(passes: Passes, gradients: Any) -> np.ndarray:
    """Gradients (R, K, *input) of each input, added up, (views, K, C, *size) float64."""
    found = passes.pictures.gradients(gradients)
    added: np.ndarray = found.reshape(-1, passes.pictures.views, *found.shape[1:]).sum(axis=0, dtype=np.float64)
    return added


def _first_again(passes: Passes, n: int, changed: np.ndarray, rows: int) -> np.ndarray:
    """The outputs of a batch that holds the first of these changed versions of image n so often."""
    first = changed[: passes.pictures.views]
    inputs = passes.pictures.changed(np.concatenate([first] * rows), np.full(rows, n))
    return passes.backend.capture(inputs, ()).outputs

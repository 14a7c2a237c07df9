"""Models in which the images of a batch influence each other: what is done where changed versions share batches.

A batch norm without running statistics, or attention across the batch, makes the score of one row depend on the others.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from xaicore.errors import MethodError

__all__ = ["Coupling"]

CLOSE = 1e-3
"""The share of the largest output by which a row may differ in two batches, as by parallel sums."""


class Coupling:
    """What is known of one model, from its first batch of several changed versions on."""

    def __init__(self) -> None:
        self._found: dict[str, bool] = {}

    def most_rows(self, start: str, images: int, size: int) -> int:
        """How many changed versions may share a batch: `size`, or one where rows are known to influence each other.

        Args:
            start: where passes start: a layer, or "" for the inputs.
            images: N of the first pass.
            size: the most rows of a batch.

        Raises:
            MethodError: rows influence each other, and the first pass had several images.
        """
        if not self._found.get(start):
            return size
        if images > 1:
            raise MethodError(
                f"the {images} images of the batch influence each other in this model, as in a batch norm without "
                "running statistics, and so do their scores: pass one image per call (command line: --batch-size 1), "
                "or use a method of one pass, such as 'gradcam'"
            )
        if size > 1:
            warnings.warn(
                "the rows of a batch influence each other in this model, as in a batch norm without running "
                "statistics: the changed versions of an image run one by one",
                RuntimeWarning,
                stacklevel=3,
            )
        return 1

    def see(self, start: str, outputs: np.ndarray, again: Callable[[int], np.ndarray]) -> bool:
        """Whether this batch shows, first of all, that rows influence each other.

        Args:
            start: as in `most_rows`.
            outputs: (rows, ...) of a batch.
            again: `again(R)` returns the outputs (R, ...) of a batch that holds the first row R times. One row is
                enough where its outputs are the same; where they are not, other sizes of batches may round otherwise.
        """
        if len(outputs) < 2 or start in self._found:
            return False
        self._found[start] = all(_differ(outputs[0], again(rows)[0]) for rows in (1, len(outputs)))
        return self._found[start]


def _differ(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether outputs of one row differ; zeros at the end of ragged ones only fill the batch."""
    length = min(len(one), len(other)) if one.ndim else None
    behind = max((np.abs(row[length:]).max(initial=0) for row in (one, other) if row.ndim), default=0)
    apart = max(np.abs(one[:length] - other[:length]).max(initial=0), behind) if one.ndim else abs(one - other)
    return bool(apart > CLOSE * np.abs(one).max(initial=0))

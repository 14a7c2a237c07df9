"""Where gradients arrive, of all layers at once: reduced by NumPy, as long as all of them fit into memory.

A compiled pass that reduces them itself keeps none of them, but its reductions, one per axis of each layer, take longer
to compile than the rest of the pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

import numpy as np

__all__ = ["MOST_NUMBERS", "are_many", "nonzero_along_axes"]

MOST_NUMBERS = 2**27
"""Of the gradients that are kept at once: half a gigabyte of them."""


def are_many(shapes: Iterable[Sequence[int]]) -> bool:
    """Whether gradients of these shapes are too many to be kept, so that the pass itself has to reduce them."""
    return sum(map(prod, shapes)) > MOST_NUMBERS


def nonzero_along_axes(gradient: np.ndarray) -> np.ndarray:
    """Where a gradient is not zero along each of its axes; all axes in one vector, bool, of sum(gradient.shape)."""
    axes, is_there = range(gradient.ndim), gradient != 0
    each = [is_there.any(axis=tuple(other for other in axes if other != axis)) for axis in axes]
    return np.concatenate(each) if each else np.zeros(0, bool)

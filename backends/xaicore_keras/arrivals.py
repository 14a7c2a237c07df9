"""Where gradients arrive, of all layers at once: reduced by NumPy, as long as all of them fit into memory.

A compiled pass that reduces them itself keeps none of them, but its reductions, one per axis of each layer, take longer
to compile than the rest of the pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

import numpy as np

from xaicore.recording import arrivals
from xaicore_keras.seen import along_axes

__all__ = ["MOST_NUMBERS", "are_many", "arrivals_along_axes"]

MOST_NUMBERS = 2**27
"""Of the gradients that are kept at once: half a gigabyte of them."""


def are_many(shapes: Iterable[Sequence[int]]) -> bool:
    """Whether gradients of these shapes are too many to be kept, so that the pass itself has to reduce them."""
    return sum(map(prod, shapes)) > MOST_NUMBERS


def arrivals_along_axes(array: np.ndarray, shape: Sequence[int]) -> dict[int, list[bool]]:
    """{axis: where a gradient of this shape is not zero}, as `LayerFacts.reached`.

    Args:
        array: the gradient; or for all of its axes in one vector, where it is not zero.
        shape: of the gradient.
    """
    return arrivals(array) if array.shape == tuple(shape) else along_axes(array, shape)

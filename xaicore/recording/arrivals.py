"""Where the gradient of the outputs arrives, for `LayerFacts.reached`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

__all__ = ["arrivals", "mixture"]


def mixture(shape: Sequence[int]) -> np.ndarray:
    """A weight for each output, float32 from 0.5 to 1.5, to pull back: no two gradients cancel, as softmax's would.

    The same shape has the same weights.
    """
    weights = np.random.default_rng(0).random(prod(shape), np.float32)
    weights += 0.5
    return weights.reshape(shape)


def arrivals(gradient: np.ndarray) -> dict[int, list[bool]]:
    """{axis: for each index, whether the gradient is not zero there}; empty where it is zero everywhere.

    Args:
        gradient: at a layer's output, of any shape; or whether it is not zero, bool.
    """
    is_there: Any = gradient != 0
    found: dict[int, list[bool]] = {}
    for axis, length in enumerate(gradient.shape):  # from the first axis on, so that the rest becomes small
        found[axis] = is_there.reshape(length, is_there[:1].size).any(axis=1).tolist()
        is_there = is_there.any(axis=0)
    return found if is_there else {}

"""Layers of one pass, reduced to what the core needs of them, where their arrays lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from xaicore.capture import Reduction
from xaicore.layers import half_scale
from xaicore_keras.asked import Leaf

__all__ = ["Reducer"]


class Reducer:
    """Makes one table of a layer's activations and gradients, with the arrays of whichever backend of Keras runs.

    Args:
        reductions: {layer: what is made of it}, of all layers that a pass is asked for.
    """

    def __init__(self, reductions: Mapping[str, Reduction]) -> None:
        self._reductions = reductions
        self._are_finite: list[Any] = []

    def keeps(self, leaf: Leaf) -> bool:
        """Whether the value of a leaf stays where it lies: those of layers do."""
        return leaf.kind == "layer"

    def tables(
        self, xp: Any, ends: Sequence[Leaf], values: Sequence[Any], gradients: Sequence[Any], scale: np.float32 | None
    ) -> list[Any]:
        """(rows, K, L) for gradients (N, K, *layer) of each end; None where there is none.

        Args:
            xp: the module of the arrays.
            ends, values, gradients: layers, their activations and gradients, float32.
            scale: what gradients are divided by.
        """
        made: list[Any] = []
        for end, value, gradient in zip(ends, values, gradients, strict=True):
            if gradient is not None and scale is not None:
                self._are_finite.append(xp.all(xp.isfinite(gradient)))
                gradient = gradient / float(scale)
            made.append(None if gradient is None else self._reductions[str(end.name)](xp, value, gradient))
        return made

    def in_half(
        self, pull: Callable[[np.ndarray, np.float32 | None], list[np.ndarray | None]], direction: np.ndarray
    ) -> list[np.ndarray | None]:
        """`pull_in_half`, for `pull(direction, scale)`, which divides gradients before they are reduced."""
        self._are_finite.clear()
        scale = half_scale(direction)
        found = pull(direction * scale, scale)
        return found if all(map(bool, self._are_finite)) else pull(direction, None)

"""Where the windows of an input lie, and how their maps become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from numbers import Integral, Real
from typing import Any

import numpy as np

from xaicore.errors import InputError

__all__ = ["Plan", "Stitch", "plan_windows"]


@dataclass(frozen=True)
class Plan:
    """The windows of an input.

    Attributes:
        size: of the input's positions, (D, H, W) for volumes.
        window: the size of each window.
        starts: the first position of each window, in the order of the axes.
    """

    size: tuple[int, ...]
    window: tuple[int, ...]
    starts: tuple[tuple[int, ...], ...]

    def at(self, start: Sequence[int]) -> tuple[slice, ...]:
        """The positions of the window that starts here."""
        return tuple(slice(first, first + length) for first, length in zip(start, self.window, strict=True))

    @property
    def weights(self) -> np.ndarray:
        """The weight of each position of a window, float32: it falls linearly from the middle to the edges.

        A window sees less around its edges, and what it finds there is seen better by its neighbour. Along an axis
        with one window, all positions count the same.
        """
        ramps = []
        for length, whole in zip(self.window, self.size, strict=True):
            place = np.arange(length) + 0.5
            ramps.append(np.minimum(place, length - place) / length if length < whole else np.ones(length))
        return reduce(np.multiply.outer, ramps).astype(np.float32)


def plan_windows(size: Sequence[int], window: Any, overlap: float) -> Plan:
    """Windows that cover an input of this size: evenly spaced, but for the last one of an axis, which ends at its end.

    Args:
        size: of the input's positions.
        window: a length per axis, or one for all. An input that is shorter has one window of its own length.
        overlap: of neighbours along an axis, as a share of their length, 0 <= overlap < 1.

    Raises:
        InputError: an argument has another form, or is out of range.
    """
    lengths = (window,) * len(size) if isinstance(window, Integral) else window
    fits = isinstance(lengths, Sequence) and len(lengths) == len(size)
    if not fits or not all(isinstance(n, Integral) and int(n) > 0 for n in lengths):
        raise InputError(
            f"window={window!r} for an input with the positions {tuple(size)}: expected {len(size)} positive numbers, "
            "or one for all axes"
        )
    if not (isinstance(overlap, Real) and 0 <= overlap < 1):
        raise InputError(f"overlap={overlap!r}: expected a share of the window, 0 <= overlap < 1")
    cut = tuple(min(int(length), whole) for length, whole in zip(lengths, size, strict=True))
    starts = (_starts(whole, length, overlap) for whole, length in zip(size, cut, strict=True))
    return Plan(tuple(size), cut, tuple(product(*starts)))


def _starts(whole: int, length: int, overlap: float) -> list[int]:
    step = max(1, int(length * (1 - overlap)))
    return [*range(0, whole - length, step), whole - length]


class Stitch:
    """The weighted mean of the maps of windows, (K, *size) float32; they are added one by one."""

    def __init__(self, plan: Plan, count: int) -> None:
        self._plan = plan
        self._weights = plan.weights
        self._sum = np.zeros((count, *plan.size), np.float32)
        self._total = np.zeros(plan.size, np.float32)

    def add(self, start: Sequence[int], maps: np.ndarray) -> None:
        """Add the maps (K, *window) of the window that starts here."""
        where = self._plan.at(start)
        self._sum[(slice(None), *where)] += self._weights * maps
        self._total[where] += self._weights

    def maps(self) -> np.ndarray:
        """The mean, once all windows are there."""
        self._sum /= self._total
        return self._sum

"""The axes of a layer's output as a map of a picture, in one notation for all frameworks.

Letters name the axes in order: n images, c channels, h w d t positions (height, width, depth, time), l tokens, which
are positions in one row. "nchw" is a convolution's map, "nhwc" one with channels last, "nlc" a transformer's tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from numbers import Integral
from typing import Any

import numpy as np

from xaicore.errors import InputError

__all__ = ["POSITIONS", "Grid", "check_axes", "check_grid", "check_input_axes"]

POSITIONS = {1: "t", 2: "hw", 3: "dhw"}
"""The letters of the positions of a signal, a picture and a volume."""


@dataclass(frozen=True)
class Grid:
    """The axes of a layer's output, and where its positions lie in the picture.

    Attributes:
        axes: a letter per axis, such as "nchw" or "nlc"; r is the axis of an image's frames or views.
        size: the positions of the map, (h, w) for pictures.
        prefix: tokens before the positions, such as a class token and registers.
        suffix: tokens behind the positions.
    """

    axes: str
    size: tuple[int, ...]
    prefix: int = 0
    suffix: int = 0

    @property
    def tokens(self) -> slice:
        """The positions among the tokens."""
        return slice(self.prefix, -self.suffix or None)

    def arrange(self, array: np.ndarray, targets: bool = False) -> np.ndarray:
        """An array of the layer's axes as (N, C, *size); with `targets`, (N, K, ...) as (N, K, C, *size).

        Frames become rows: (N * R, C, *size).

        Raises:
            InputError: the array does not have these axes or this many positions.
        """
        return np.ascontiguousarray(self.arrange_in(np, array, targets))

    def arrange_in(self, xp: Any, array: Any, targets: bool = False) -> Any:
        """The same of an array of another module, where it lies: see `xaicore.capture.Reduction`.

        Raises:
            InputError: the array does not have these axes or this many positions.
        """
        letters = self.axes
        first = [letter for letter in ("n", "r") if letter in letters]
        if targets:  # the axis of targets follows the first axis, whichever that is
            letters = f"{letters[0]}k{letters[1:]}"
        if array.ndim != len(letters):
            raise InputError(f"an array of shape {array.shape} for the axes {letters!r}: expected {len(letters)} axes")
        positions = [letter for letter in letters if letter not in "nrkc"]
        order = [letter for letter in (*first, "k", "c", *positions) if letter in letters]
        if "".join(order) != letters:
            array = xp.moveaxis(array, tuple(map(letters.index, order)), tuple(range(len(order))))
        if len(first) > 1:  # a row per frame
            array, order = xp.reshape(array, (-1, *array.shape[2:])), order[1:]
        if "c" not in letters:
            at = order.index(positions[0]) if positions else len(order)
            array = xp.reshape(array, (*array.shape[:at], 1, *array.shape[at:]))
        if "l" in letters:
            others = self.prefix + self.suffix
            array = array[..., self.tokens]
            if array.shape[-1] != prod(self.size):
                raise InputError(
                    f"{array.shape[-1] + others} tokens for a grid of {' x '.join(map(str, self.size))} and "
                    f"{others} prefix tokens: expected {prod(self.size) + others}"
                )
            array = xp.reshape(array, (*array.shape[:-1], *self.size))
        return array

    def put(self, array: np.ndarray, maps: np.ndarray) -> np.ndarray:
        """An array of one image (1, ...), R times, with other maps (R, C, *size) at its positions: (R, ...).

        Prefix tokens keep their values. Without any, the result is a view of the maps. An image has one row here.
        """
        positions = [letter for letter in self.axes if letter not in "nrc"]
        order = [letter for letter in ("n", "r", "c", *positions) if letter in self.axes]
        if "l" in self.axes:
            maps = maps.reshape(*maps.shape[:2], -1)
        if "c" not in self.axes:
            maps = maps[:, 0]
        if "r" in self.axes:
            maps = maps[:, None]
        if not self.prefix + self.suffix:
            return maps.transpose([order.index(letter) for letter in self.axes])
        changed = np.repeat(array, len(maps), axis=self.axes.index("n"))
        changed.transpose([self.axes.index(letter) for letter in order])[..., self.tokens] = maps
        return changed


def check_grid(grid: Sequence[int]) -> tuple[int, ...]:
    """Check the positions that a user typed, and return them.

    Raises:
        InputError: they are no whole numbers above 0.
    """
    numbers = tuple(grid) if isinstance(grid, Iterable) else ()
    if not numbers or not all(isinstance(one, Integral) and one > 0 for one in numbers):
        raise InputError(f"grid={grid!r}: expected the numbers of positions along each axis, such as (14, 14)")
    return tuple(map(int, numbers))


def check_axes(axes: str, option: str, letters: str = "nchwdtl") -> str:
    """Check a notation that a user typed, and return it.

    Raises:
        InputError: it has unknown or repeated letters, no n, or no positions.
    """
    known = isinstance(axes, str) and set(axes) <= set(letters) and len(set(axes)) == len(axes)
    if not known or "n" not in axes or not set(axes) - set("nc"):
        raise InputError(
            f"{option}={axes!r}: expected a letter per axis, such as 'nchw', 'nhwc' or 'nlc': n images, c channels, "
            "h w d t positions, l tokens"
        )
    return axes


def check_input_axes(axes: str) -> str:
    """Check the notation of an input, as `check_axes`, and that its images come first, and return it.

    Raises:
        InputError: they do not.
    """
    if check_axes(axes, "input_axes")[0] != "n":
        raise InputError(f"input_axes={axes!r}: the images, n, come first in what is passed, as in 'nhwc'")
    return axes

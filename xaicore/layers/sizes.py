"""Which sizes the positions of a layer can have, given the maps of the convolutions before it, and the picture.

Tokens lie on a map seen before or on one of its halvings; what is left of their number are prefix tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import prod

__all__ = ["finer", "prefix_of_signal", "strided", "token_grid"]

PREFIX = 8
"""The most prefix tokens that are considered: a class token, a distillation token, and registers."""

HALVINGS = 6
"""How often a convolution's map is halved, in search of the size of later layers."""


def token_grid(
    tokens: int, size: tuple[int, ...], maps: Sequence[tuple[int, ...]]
) -> tuple[tuple[int, ...], int] | None:
    """(grid, prefix tokens) with the fewest prefix tokens; None where no grid fits, or several fit as well.

    Square patches that cover the picture count only where no convolution was seen: many numbers of tokens are the
    product of several sizes.

    Args:
        tokens: their number, prefix tokens included.
        size: the picture's, such as (H, W).
        maps: the sizes of the maps of convolutions before.
    """
    candidates = finer(maps) if maps else _patches(size)
    left = {grid: tokens - prod(grid) for grid in candidates if prod(grid) > 1}
    fitting = {grid: prefix for grid, prefix in left.items() if 0 <= prefix <= min(PREFIX, prod(grid) - 1)}
    fewest = [grid for grid, prefix in fitting.items() if prefix == min(fitting.values())]
    return (fewest[0], fitting[fewest[0]]) if len(fewest) == 1 else None


def prefix_of_signal(tokens: int, maps: Sequence[tuple[int, ...]]) -> int:
    """Tokens that a signal's map does not account for, such as a class token; 0 where other positions explain them."""
    if (tokens,) in finer(maps):
        return 0
    left = [tokens - prod(size) for size in maps]
    return min((prefix for prefix in left if 0 < prefix <= PREFIX), default=0)


def finer(maps: Iterable[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The sizes of maps, and their halvings, rounded down or up; nets of clips may keep the first axis, time."""
    found: dict[tuple[int, ...], None] = {}
    for size in maps:
        for kept in (0, 1) if len(size) == 3 else (0,):
            down = up = size
            for _ in range(HALVINGS):
                found[down] = found[up] = None
                down = (*down[:kept], *(n // 2 for n in down[kept:]))
                up = (*up[:kept], *(-(-n // 2) for n in up[kept:]))
    return list(found)


def _patches(size: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The grids of square patches that cover the picture exactly."""
    for patch in range(1, min(size) + 1):
        if all(length % patch == 0 for length in size):
            yield tuple(length // patch for length in size)


def strided(size: tuple[int, ...], lengths: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """These lengths, if they are the picture's size divided by one stride, rounded down or up."""
    for stride in range(1, max(size) + 1):
        if all(found in (n // stride, -(-n // stride)) for found, n in zip(lengths, size, strict=True)):
            yield lengths
            return

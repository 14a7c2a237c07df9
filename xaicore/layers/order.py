"""Which tokens do not lie on the grid that their number fits.

As many learned queries as a halved map has positions, patches in another order, or a few pooled tokens fit a grid, too.
What the tokens depend on, and where in the picture they come from, shows them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import prod

import numpy as np

from xaicore.facts import LayerFacts, Moves
from xaicore.layers.grid import Grid
from xaicore.layers.inputs import Frame

__all__ = ["settle_order"]

NEAR = (0.75, 0.1)
"""How far from its place on the grid a token may come from: in cells, and as a fraction of the picture."""


def settle_order(
    layers: Sequence[LayerFacts],
    grids: Mapping[str, Grid],
    maps: Collection[tuple[int, ...]],
    frame: Frame | None = None,
    position: int = 0,
) -> dict[str, Grid]:
    """The grids, without those of as many tokens as are seen to be no positions of the picture in their order.

    These are (1) tokens that come from elsewhere in it, (2) as many tokens as learned queries, which depend on no
    input, unless a convolution gives a map of this size, and (3) tokens on a halved map with
    other tokens before them than those that a map itself has.

    Args:
        layers: of one pass, in order of completion.
        grids: of those that are maps of a picture.
        maps: the sizes of the maps of convolutions.
        frame, position: how the input is a picture, and its position.
    """
    tokens = {name: grid for name, grid in grids.items() if "l" in grid.axes}
    known = {grid.prefix + grid.suffix for grid in tokens.values() if grid.size in maps}
    learned = {length for layer in layers for length in _queries(layer)}
    refused: set[int] = set()
    for layer in layers:
        grid = tokens.get(layer.name)
        if grid is None:
            continue
        others = grid.prefix + grid.suffix
        is_halved = bool(maps) and grid.size not in maps
        is_elsewhere = frame is not None and _is_elsewhere(layer.moves.get(position), grid, frame)
        if is_elsewhere or (is_halved and (_count(grid) in learned or others not in known | {0})):
            refused.add(_count(grid))
    return {name: grid for name, grid in grids.items() if name not in tokens or _count(grid) not in refused}


def _queries(layer: LayerFacts) -> set[int]:
    """The numbers of learned queries that a layer gives, or takes beside what it asks."""
    given = [layer.shape] if layer.reads == () else []
    taken = [one for one in layer.takes_weights if len(one) == 3 and one[-1] == layer.shape[-1]]
    return {length for shape in (*given, *taken) for length in shape[:-1]}  # attention may have the images second


def _count(grid: Grid) -> int:
    return grid.prefix + prod(grid.size) + grid.suffix


def _is_elsewhere(moves: Moves | None, grid: Grid, frame: Frame) -> bool:
    """Whether both of the tokens whose places were seen come from somewhere else than their places on the grid.

    A token that depends on all of the picture, behind attention, comes from the middle of it: that tells nothing. Both
    from the middle along one axis alone are tokens of a line, such as the columns that a recurrent layer reads.
    """
    if not moves or frame.reshaped is not None or frame.is_made:
        return False
    count, letters = _count(grid), [letter for letter in "tdhw" if letter in frame.axes]
    (places,) = moves.values()
    cells, seen = [], []
    for which, token in enumerate((count // 4, count - 1 - count // 4)):
        if not 0 <= token - grid.prefix < prod(grid.size):
            return False
        cells.append([int(i) for i in np.unravel_index(token - grid.prefix, grid.size)])
        seen.append([places[frame.axes.index(letter)][which] for letter in letters])
    is_middle = [first == second == 0.5 for first, second in zip(*seen, strict=True)]
    is_line = not all(is_middle) and any(
        is_one and first != second for is_one, first, second in zip(is_middle, *cells, strict=True)
    )
    return is_line or all(
        any(_is_far(at, i, n) for at, i, n in zip(found, cell, grid.size, strict=True) if at != 0.5)
        for found, cell in zip(seen, cells, strict=True)
    )


def _is_far(at: float, cell: int, cells: int) -> bool:
    return abs(at - (cell + 0.5) / cells) > max(NEAR[0] / cells, NEAR[1])

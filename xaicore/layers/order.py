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
    input, with as many channels, unless a convolution gives a map of this size, and (3) tokens on a halved map with
    other tokens before them than those that a map itself has.

    Args:
        layers: of one pass, in order of completion.
        grids: of those that are maps of a picture.
        maps: the sizes of the maps of convolutions.
        frame, position: how the input is a picture, and its position.
    """
    tokens = {name: grid for name, grid in grids.items() if "l" in grid.axes}
    known = {grid.prefix + grid.suffix for grid in tokens.values() if grid.size in maps}
    learned = {query for layer in layers for query in _queries(layer)}
    refused: set[int] = set()
    for layer in layers:
        grid = tokens.get(layer.name)
        if grid is None:
            continue
        others = grid.prefix + grid.suffix
        moves, is_map = layer.moves.get(position), grid.size in maps
        is_halved = bool(maps) and not is_map
        is_elsewhere = frame is not None and _is_elsewhere(moves, grid, frame, is_map)
        is_learned = (_count(grid), layer.shape[grid.axes.index("c")]) in learned
        if is_elsewhere or (is_halved and (is_learned or others not in known | {0})):
            refused.add(_count(grid))
    return {name: grid for name, grid in grids.items() if name not in tokens or _count(grid) not in refused}


def _queries(layer: LayerFacts) -> set[tuple[int, int]]:
    """The numbers of learned queries that a layer gives, or takes beside what it asks, and of their channels.

    What windows add to the weights of their attention is learned, too: (heads, positions, positions), no tokens.
    """
    given = [layer.shape] if layer.reads == () else []
    taken = [one for one in layer.takes_weights if len(one) == 3 and one[-1] == layer.shape[-1]]
    # Attention may have the images second.
    return {(length, one[-1]) for one in (*given, *taken) for length in one[:-1]}


def _count(grid: Grid) -> int:
    return grid.prefix + prod(grid.size) + grid.suffix


def _is_elsewhere(moves: Moves | None, grid: Grid, frame: Frame, is_map: bool) -> bool:
    """Whether both of the tokens whose places were seen come from somewhere else than their places on the grid.

    A token that depends on all of the picture, behind attention, comes from the middle of it: that tells nothing. Both
    from the middle along one axis alone may be tokens of a line, such as the columns that a recurrent layer reads.
    Those of a map of convolutions come from there, too, where they see more than half of a narrow picture.
    """
    if not moves or frame.reshaped is not None or frame.is_made:
        return False
    count, letters = _count(grid), [letter for letter in "tdhw" if letter in frame.axes]
    (places,) = moves.values()
    tokens = [token - grid.prefix for token in (count // 4, count - 1 - count // 4)]
    if not all(0 <= token < prod(grid.size) for token in tokens):
        return False
    cells = [[int(i) for i in np.unravel_index(token, grid.size)] for token in tokens]
    seen = [[places[frame.axes.index(letter)][which] for letter in letters] for which in range(2)]
    return (not is_map and _are_of_line(tokens, cells, seen, grid.size)) or all(
        any(_is_far(at, i, n) for at, i, n in zip(found, cell, grid.size, strict=True) if at != 0.5)
        for found, cell in zip(seen, cells, strict=True)
    )


def _are_of_line(
    tokens: Sequence[int], cells: Sequence[Sequence[int]], seen: Sequence[Sequence[float]], size: Sequence[int]
) -> bool:
    """Whether tokens come from the middle along one axis, and along the others rather from a line than from the grid.

    Args:
        tokens: two of them, by their number.
        cells: where each lies on the grid.
        seen: where each comes from, as fractions of the picture.
        size: of the grid.
    """
    is_middle = [first == second == 0.5 for first, second in zip(*seen, strict=True)]
    if all(is_middle) or not any(m and one != other for m, one, other in zip(is_middle, *cells, strict=True)):
        return False
    return all(
        m or abs(at - (token + 0.5) / prod(size)) <= abs(at - (i + 0.5) / n)
        for token, cell, found in zip(tokens, cells, seen, strict=True)
        for m, at, i, n in zip(is_middle, found, cell, size, strict=True)
    )


def _is_far(at: float, cell: int, cells: int) -> bool:
    return abs(at - (cell + 0.5) / cells) > max(NEAR[0] / cells, NEAR[1])

"""Where the tokens that are no positions stand: before the positions, as in most nets, or behind them.

The count of tokens does not tell. Where the gradient of the output arrives does: at a class token alone, or at all
positions and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from xaicore.facts import LayerFacts
from xaicore.layers.grid import Grid

__all__ = ["settle_prefixes"]


def settle_prefixes(layers: Sequence[LayerFacts], grids: Mapping[str, Grid]) -> dict[str, Grid]:
    """The grids, with the other tokens behind the positions where the gradient shows them there.

    Grids of tokens are left out where the gradient arrives at a few tokens only that are neither the first nor the
    last ones: a class token in the middle, whose net has no order that is known.
    """
    places: dict[tuple[int, int], set[str]] = {}
    for layer in layers:
        grid = grids.get(layer.name)
        if grid is not None and grid.prefix and layer.reached and grid.axes.index("l") in layer.reached:
            reached = list(map(bool, layer.reached[grid.axes.index("l")]))
            place = _place_of_others(reached, grid.prefix)
            if place is not None:
                places.setdefault((len(reached), grid.prefix), set()).add(place)
    tokens = {
        name: layer.shape[grids[name].axes.index("l")]
        for layer in layers
        for name in (layer.name, *layer.aliases)
        if name in grids and grids[name].prefix
    }
    settled = dict(grids)
    for name, count in tokens.items():
        grid = grids[name]
        seen = places.get((count, grid.prefix), {"before"})
        if seen == {"behind"}:
            settled[name] = replace(grid, prefix=0, suffix=grid.prefix)
        elif seen != {"before"}:
            del settled[name]
    return settled


def _place_of_others(reached: Sequence[bool], others: int) -> str | None:
    """ "before", "behind" or "between" the positions, as the gradient shows it; None where it does not."""
    first, last = list(reached[:others]), list(reached[-others:])
    before, behind = list(reached[others:]), list(reached[:-others])
    if (not any(before) and any(first)) or (all(before) and not any(first)):
        return "before"
    if (not any(behind) and any(last)) or (all(behind) and not any(last)):
        return "behind"
    return "between" if sum(reached) <= others else None

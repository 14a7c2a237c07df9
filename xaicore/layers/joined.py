"""The tokens of a picture in a sequence with others, such as the words of a question, in models of several inputs.

A language model that reads image tokens has them somewhere in its sequence; a decoder that attends to a picture has as
many tokens as words. Their number alone may fit a grid. What shows them is which tokens depend on the picture before
any attention has mixed them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isclose, isnan, prod

from xaicore.errors import LayerError
from xaicore.facts import LayerFacts, Moves
from xaicore.layers.grid import Grid

__all__ = ["Parts", "is_joined", "joined_grid", "like_alone", "no_words", "picture_tokens", "with_others"]

Parts = Mapping[int, tuple[int, int] | None]
"""{number of tokens: the first and the last that the picture made}; None where words are among them, and nothing tells
which."""


def picture_tokens(layers: Sequence[LayerFacts], position: int) -> Parts:
    """Which tokens of the layers with this many tokens come from an input.

    Args:
        layers: of one pass, in order of completion.
        position: of the picture among the inputs.
    """
    sequences = [layer for layer in layers if len(layer.shape) == 3 and layer.is_float]
    words = {layer.shape[1] for layer in sequences if _reads_words(layer, position)}
    others = {layer.shape[1] for layer in sequences if layer.reads is not None and position not in layer.reads}
    parts: dict[int, tuple[int, int] | None] = dict.fromkeys(words)
    for layer in layers:
        part = layer.parts.get(position)
        if part is None:
            continue
        ((axis, (first, last)),) = part.items()
        count = layer.shape[axis]
        are_all = last - first + 1 == count
        is_picture = not are_all or (count not in words and (count not in others or _are_places(layer.moves, position)))
        parts[count] = (first, last) if is_picture else None
    return parts


def with_others(grid: Grid, part: tuple[int, int], count: int) -> Grid:
    """The grid of a picture's tokens, first to last, among `count` tokens."""
    first, last = part
    return Grid(grid.axes, grid.size, grid.prefix + first, grid.suffix + count - 1 - last)


def joined_grid(axes: str, size: tuple[int, ...], part: tuple[int, int], count: int, name: str) -> Grid:
    """The grid that the caller states, of a picture's tokens among `count` tokens.

    Raises:
        LayerError: it has more positions than the picture has tokens.
    """
    first, last = part
    if prod(size) > last - first + 1:
        raise LayerError(
            f"{name} has {count} tokens, of which the picture makes those from {first} to {last}: grid={size} has "
            f"{prod(size)} positions; expected at most {last - first + 1}"
        )
    return with_others(Grid(axes, size, last - first + 1 - prod(size)), part, count)


def is_joined(grid: Grid, parts: Parts) -> bool:
    """Whether only some of the tokens of a grid come from the picture."""
    count = _count(grid)
    return "l" in grid.axes and count in parts and parts[count] != (0, count - 1)


def like_alone(grids: Mapping[str, Grid], alone: Mapping[str, Grid], parts: Parts) -> dict[str, Grid]:
    """Joined grids, whose picture's tokens lie as where these are alone, with a class token before or behind."""
    known = {_count(grid): grid for grid in alone.values() if "l" in grid.axes}
    found = dict(grids)
    for name, grid in grids.items():
        count = _count(grid)
        part = parts[count]
        inner = None if part is None else known.get(part[1] - part[0] + 1)
        if inner is not None and part is not None:
            found[name] = with_others(replace(inner, axes=grid.axes), part, count)
    return found


def no_words(name: str, count: int) -> LayerError:
    """The error for tokens of which nothing tells words from positions."""
    return LayerError(
        f"{name!r} has {count} tokens, as many as words that the model reads, and nothing says which of them are "
        "positions of the picture: name a layer that reads the picture alone"
    )


def _count(grid: Grid) -> int:
    return grid.prefix + prod(grid.size) + grid.suffix


def _reads_words(layer: LayerFacts, position: int) -> bool:
    """Whether a layer turns the ids of another input into tokens."""
    return layer.kind == "embedding" and any(isinstance(one, int) and one != position for one in layer.takes)


def _are_places(moves: Mapping[int, Moves], position: int) -> bool:
    """Whether tokens come from places of their own: behind attention, all of them come from all of the picture."""
    places = [at for ends in moves.get(position, {}).values() for pair in ends.values() for at in pair]
    return any(not isnan(at) and not isclose(at, 0.5, abs_tol=1e-6) for at in places)

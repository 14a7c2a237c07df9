"""Where in a picture the tokens of the kit's nets come from, and what their first layers take."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore.facts import InputFacts, Moves
from xaicore.testing.nets.halves import HalvesNet
from xaicore.testing.nets.net import Net

__all__ = ["GRID", "moves_of_tokens", "of_halves", "read_by"]

GRID = (3, 4)
"""Rows and columns of the patches of all nets of tokens."""

MADE_OF_PATCHES = {"tokens": "tokens", "blocks": "tokens", "masked": "tokens", "causal": "tokens", "queries": "mixed"}
"""{net: its first layer of tokens}."""


def moves_of_tokens(net: Net, layer: str, count: int) -> dict[int, Moves]:
    """`LayerFacts.moves` of a layer with this many tokens: empty where it is not the first one of its net."""
    if MADE_OF_PATCHES.get(net.name) != layer:
        return {}
    patches = np.array([count // 4, count - 1 - count // 4]) - (count - GRID[0] * GRID[1])
    rows, columns = ((at + 0.5) / cells for at, cells in zip(divmod(patches, GRID[1]), GRID, strict=True))
    return {0: {1: {2: tuple(rows.tolist()), 3: tuple(columns.tolist())}}}


def read_by(net: Net, reader: str, picture: np.ndarray) -> InputFacts:
    """The facts of an input (N, C, H, W), which this layer reads; whole numbers have no reader."""
    if picture.dtype.kind == "i":
        return InputFacts(picture.shape)
    if isinstance(net, HalvesNet):
        spans = tuple({2: (0, 11), 3: (half.start, half.stop - 1)} for half in net.halves)
        taken, runs = picture[..., net.halves[0]], (False, False)
        return InputFacts(picture.shape, taken.shape, 1, runs, (None, None), reader_spans=spans, reader=reader)
    taken = net.taken_by_reader(picture)
    if taken is picture:
        return InputFacts(picture.shape, taken.shape, 1, (True,), (None,), reader=reader)
    moves, span = {}, {}
    for axis, part in enumerate(net.part, 2):
        length = picture.shape[axis]
        rows = range(length)[part]
        ends = (len(rows) // 4, len(rows) - 1 - len(rows) // 4)
        moves[axis] = {axis: ((rows[ends[0]] + 0.5) / length, (rows[ends[1]] + 0.5) / length)}
        span[axis] = (rows[0], rows[-1])
    return InputFacts(picture.shape, taken.shape, 1, (False,), (moves,), reader_spans=(span,), reader=reader)


def of_halves(net: Net, layer: str) -> dict[str, Any]:
    """`run_frames` and `parts` of `LayerFacts`, of a net that reads the halves of a picture."""
    if not isinstance(net, HalvesNet):
        return {}
    frames = {"patches": ((0,), (1,)), "embedding": ((),)}.get(layer, ((0, 1),))
    return {"run_frames": {0: frames}, "parts": {0: {1: (0, 23)}} if layer == "tokens" else {}}

"""Where in the inputs the tokens of a layer come from, for `LayerFacts.moves` and `parts`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from xaicore.facts import LayerFacts, Moves
from xaicore.layers import channel_axes, find_moves, find_part
from xaicore.recording.calls import C, Recording, is_float

__all__ = ["read_tokens"]

Pull = Callable[[C, int, np.ndarray], "np.ndarray | None"]
"""`pull(call, i, weights)`: the gradient at input i of the sum of weights * the call's output, or None."""

APART = 0.02
"""The least distance, as a fraction of the input, between the places of two tokens that do not read all of it."""


def read_tokens(recording: Recording[C], layers: Sequence[LayerFacts], pull: Pull[C]) -> list[LayerFacts]:
    """The facts of layers, with `moves` of the first layer with each number of tokens.

    In a model of several inputs, they have `parts`, too. Tokens lie along the axis of an output (N, T, C) or (N, C, T)
    that is neither that of the images nor that of the channels, which `layers.channel_axes` finds by the facts of all
    layers. A layer whose tokens come from the whole picture, such as learned queries after their attention, is left
    out.

    Args:
        recording: of one pass, in which the backend has set what each call `reads`.
        layers: the facts of all that `recording.listed()` gives, in its order, as `recording.layer` makes them.
        pull: `pull(call, i, weights)` returns the gradient at input i of the sum of weights * `call.output`; None where
            the output does not depend on that input. It is called for inputs of floating-point numbers.
    """
    axes, known, found = channel_axes(layers), set[int](), list(layers)
    inputs = [i for i, array in enumerate(recording.inputs) if is_float(array)]
    for at, layer in enumerate(layers):
        channels, call = axes[layer.name], recording.runs(layer.name)[-1]
        if len(layer.shape) != 3 or layer.batch_axis or channels not in (1, 2) or not layer.is_float:
            continue
        axis = 3 - channels
        if layer.shape[axis] in known:
            continue
        pulls = {i: partial(pull, call, i) for i in inputs if call.reads is None or i in call.reads}
        moves = {i: find_moves(layer.shape, (axis,), of_input) for i, of_input in pulls.items()}
        apart = {i: one for i, one in moves.items() if one is not None and _are_apart(one)}
        if apart:
            known.add(layer.shape[axis])
            parts = {i: find_part(layer.shape, pulls[i], (axis,)) for i in pulls} if len(recording.inputs) > 1 else {}
            of_parts = {i: one for i, one in parts.items() if one is not None}
            found[at] = replace(layer, moves=apart, parts=of_parts)
    return found


def _are_apart(moves: Moves) -> bool:
    """NaN is the place of a token that comes from nowhere, and not from the whole picture."""
    return any(not abs(end - start) < APART for ends in moves.values() for start, end in ends.values())

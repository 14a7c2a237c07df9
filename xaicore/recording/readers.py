"""The facts of a model's inputs: which layer reads each of them first, and how what it takes was made of the input."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from xaicore.facts import InputFacts, Moves, Span
from xaicore.layers import find_moves, find_span
from xaicore.recording.calls import C, Recording

__all__ = ["read_inputs"]

Pull = Callable[[C, int, np.ndarray], "np.ndarray | None"]
"""`pull(call, i, weights)`: the gradient at input i of the sum of weights * what the call took first, or None."""


def read_inputs(
    recording: Recording[C],
    channel_axis: Callable[[C], int | None],
    pull: Pull[C] = lambda call, i, weights: None,
    has_input_of: bool = False,
) -> list[InputFacts]:
    """The facts of each input.

    Args:
        recording: of one pass, in which the backend has set what each call `reads`.
        channel_axis: where a call takes the channels, if its layer says so and may be a reader, such as a convolution;
            else None.
        pull: `pull(call, i, weights)` returns the gradient at input i of the sum of weights * `call.taken[0]`; None
            where the framework has none. It shows where in an input a changed copy comes from, such as a flipped one.
            Without it that stays unknown. It is called for inputs that the call reads without taking them as they are.
        has_input_of: the backend implements `input_of`, so that `reader` is named.
    """
    each = range(len(recording.inputs))
    return [_facts(recording, i, channel_axis, pull, has_input_of) for i in each]


def _facts(
    recording: Recording[C], i: int, channel_axis: Callable[[C], int | None], pull: Pull[C], has_input_of: bool
) -> InputFacts:
    shape = _shape(recording.inputs[i])
    readers = [
        call for call in recording.calls if call.taken and recording.reads(call, i) and channel_axis(call) is not None
    ]
    if not readers:
        return InputFacts(shape)
    first = readers[0]
    same = [call for call in readers if call.name == first.name]
    moves, spans = zip(*(_moves(recording, call, i, channel_axis(call), pull) for call in same), strict=True)
    return InputFacts(
        shape,
        _shape(first.taken[0]),
        channel_axis(first),
        tuple(recording.takes(call, i) for call in same),
        moves,
        None if recording.takes(first, i) or not isinstance(first.sources[0], str) else first.sources[0],
        spans,
        first.name if has_input_of else None,
    )


def _moves(
    recording: Recording[C], call: C, i: int, channel: int | None, pull: Pull[C]
) -> tuple[Moves | None, Span | None]:
    taken = _shape(call.taken[0])
    if recording.takes(call, i) or 0 in taken:
        return None, None
    first = 0 if taken[0] > _shape(recording.inputs[i])[0] else 1
    axes = [axis for axis in range(first, len(taken)) if axis != channel]
    of_call = partial(pull, call, i)
    return find_moves(taken, axes, of_call), find_span(taken, of_call)


def _shape(array: Any) -> tuple[int, ...]:
    """Lengths that depend on values, which some frameworks do not say, are 0."""
    return tuple(length if isinstance(length, int) else 0 for length in array.shape)

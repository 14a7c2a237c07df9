"""The facts of a model's inputs: which layer reads each of them first, and how what it takes was made of the input."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from xaicore.facts import InputFacts, Moves, Span
from xaicore.layers import find_moves, find_span
from xaicore.recording.calls import C, Recording

__all__ = ["read_inputs"]

Pull = Callable[[C, int, np.ndarray], "np.ndarray | None"]
"""`pull(call, i, weights)`: the gradient at input i of the sum of weights * what the call took first, or None."""


def read_inputs(
    recording: Recording[C], channel_axis: Callable[[C], int | None], pull: Pull[C] = lambda call, i, weights: None
) -> list[InputFacts]:
    """The facts of each input; of `reader` no name, which says that the backend has `input_of`.

    Args:
        recording: of one pass, in which the backend has set what each call `reads`.
        channel_axis: where a call takes the channels, if its layer says so and may be a reader, such as a convolution;
            else None.
        pull: shows where in an input a changed copy comes from, such as a flipped one. Without it that stays unknown.
    """
    return [_facts(recording, i, channel_axis, pull) for i in range(len(recording.inputs))]


def _facts(recording: Recording[C], i: int, channel_axis: Callable[[C], int | None], pull: Pull[C]) -> InputFacts:
    shape = tuple(recording.inputs[i].shape)
    readers = [call for call in recording.calls if call.taken and _reads(call, i) and channel_axis(call) is not None]
    if not readers:
        return InputFacts(shape)
    first = readers[0]
    same = [call for call in readers if call.name == first.name]
    moves, spans = zip(*(_moves(call, i, shape, channel_axis(call), pull) for call in same), strict=True)
    return InputFacts(
        shape,
        tuple(first.taken[0].shape),
        channel_axis(first),
        tuple(call.sources[0] == i for call in same),
        moves,
        first.sources[0] if isinstance(first.sources[0], str) else None,
        spans,
    )


def _reads(call: C, i: int) -> bool:
    return call.sources[0] == i or (call.reads is not None and i in call.reads)


def _moves(
    call: C, i: int, shape: tuple[int, ...], channel: int | None, pull: Pull[C]
) -> tuple[Moves | None, Span | None]:
    taken = tuple(call.taken[0].shape)
    if call.sources[0] == i or 0 in taken:  # a length of 0 depends on values
        return None, None
    first = 0 if taken[0] > shape[0] else 1
    of_call = partial(pull, call, i)
    return find_moves(taken, [axis for axis in range(first, len(taken)) if axis != channel], of_call), find_span(
        taken, of_call
    )

"""The facts of a model's layers and inputs, from the calls of one pass; what they mean is read in `xaicore.layers`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras

from xaicore import recording
from xaicore.facts import Facts, InputFacts, LayerFacts, Moves, Span
from xaicore.layers import channel_axes, find_moves, find_span
from xaicore.recording import Recording
from xaicore_keras.calls import Call, shape_of
from xaicore_keras.layout import (
    channel_axis,
    default_axis,
    is_identity,
    is_recurrent,
    kind_of,
    permuted_axis,
    reads_backwards,
    vectors,
)
from xaicore_keras.private import child_layers
from xaicore_keras.seen import Flow

__all__ = ["assign_axes", "facts_of"]

_READERS = ("convolution", "recurrent")


def facts_of(calls: Sequence[Call], inputs: Sequence[Any], flows: Sequence[Flow] = (), count: int = 1) -> Facts:
    """The facts of one pass.

    Args:
        calls: in order of completion.
        inputs: the tensors that the model took.
        flows: of each call's output; empty where they are not known.
        count: images in that pass.
    """
    return _Reader(calls, inputs, flows or [Flow()] * len(calls)).facts(count)


def assign_axes(calls: Sequence[Call], facts: Facts) -> None:
    """Set the channel axis of each call's output; by Keras' configuration where the facts do not settle it."""
    axes = channel_axes(facts.layers)
    for call in calls:
        rank, axis = len(call.output.shape), axes.get(call.path)
        call.axis = axis if axis is not None and axis < rank else default_axis(rank)


class _Reader:
    def __init__(self, calls: Sequence[Call], inputs: Sequence[Any], flows: Sequence[Flow]) -> None:
        self._calls, self._inputs = list(calls), list(inputs)
        self._flows = dict(zip(map(id, calls), flows, strict=True))
        self._recording: Recording[recording.Call] = Recording(inputs, separator="/")
        self._recorded: dict[recording.Call, Call] = {}
        self._token_moves: dict[int, dict[int, Moves]] = {}  # of calls
        self._axes: dict[int, int | None] = {}  # of outputs, where a layer says so
        self._readers: dict[int, list[Call]] = {}  # of inputs, where one runs several times
        for call in self._calls:
            passes_on = is_identity(call.layer) and self._recording.is_pooled(call.input)
            pools = kind_of(call.layer) == "pooling" or passes_on
            one = recording.Call(call.path, call.output, call.inputs, call.layer, call.gives, pools)
            one.reads, one.reached = self._reads(call), self._flows[id(call)].reached
            self._recorded[self._recording.add(one)] = call
            axis = permuted_axis(call.layer, len(call.shape), self._axes.get(id(call.input)))
            output = id(call.output)
            self._axes[output] = self._axes.get(output) if axis is None else axis  # that of the layer inside

    def facts(self, count: int) -> Facts:
        inputs = tuple(self._input(i) for i in range(len(self._inputs)))
        self._note_moves(count)
        return Facts(tuple(map(self._layer, self._recording.listed())), inputs, count)

    def _reads(self, call: Call) -> tuple[int, ...] | None:
        return (0,) if len(self._inputs) == 1 else self._flows[id(call)].reads

    def _layer(self, one: recording.Call) -> LayerFacts:
        call, maker = self._recorded[one], one.maker.layer
        makers = [self._recorded[made] for made in (one, *one.handed_on)]
        return self._recording.layer(
            one,
            shape=call.shape,
            kind=kind_of(maker),
            channel_axis=self._axes[id(call.output)],
            vectors=vectors(maker),
            takes_weights=tuple(shape_of(made.input) for made in makers if self._flows[id(made)].takes == ()),
            is_leaf=not isinstance(call.layer, keras.Layer) or not child_layers(call.layer),
            is_float=keras.backend.is_float_dtype(call.dtype),
            moves=self._token_moves.get(id(call), {}),
            run_frames=self._frames([self._recorded[run] for run in self._recording.runs(one.name)]),
            is_recurrent=is_recurrent(maker),
            reads_backwards=reads_backwards(maker),
        )

    def _input(self, i: int) -> InputFacts:
        """The first layer that reads the input, what it takes, and in which of its runs it takes the very input."""
        shape = shape_of(self._inputs[i])
        readers = [call for call in self._calls if self._is_reader(call, i)]
        if not readers:
            return InputFacts(shape)
        first = readers[0]
        taken = shape_of(first.input)
        axis = channel_axis(first.layer, len(taken))
        same = [call for call in readers if call.layer is first.layer]
        runs = tuple(call.input is self._inputs[i] for call in same)
        moves, spans = zip(*(self._moves(call, i, axis) for call in same), strict=True)
        source = next((one.path for one in reversed(self._calls) if one.output is first.input), None)
        if len(same) > 1:
            self._readers[i] = same
        return InputFacts(shape, taken, axis, runs, moves, source, spans, first.path)

    def _moves(self, call: Call, i: int, channel: int | None) -> tuple[Moves | None, Span | None]:
        """Where what a reader takes comes from, for `InputFacts.reader_moves` and `reader_spans`."""
        taken = shape_of(call.input)
        if call.input is self._inputs[i] or 0 in taken:  # a length of 0 depends on values
            return None, None
        first = 0 if taken[0] > shape_of(self._inputs[i])[0] else 1
        axes = [axis for axis in range(first, len(taken)) if axis != channel]
        pull = functools.partial(self._flows[id(call)].pull, i)
        return find_moves(taken, axes, pull), find_span(taken, pull)

    def _note_moves(self, count: int) -> None:
        """Where the tokens of the first layer with this number come from, for `LayerFacts.moves`.

        By what a layer takes that keeps the tokens apart: a norm, or a dense layer.
        """
        known = {call.shape[1] for call in self._calls if kind_of(call.layer) == "convolution" and len(call.shape) == 3}
        for call in self._calls:
            taken = () if call.input is None else shape_of(call.input)
            keeps = kind_of(call.layer) in ("norm", "dense") and taken[:2] == call.shape[:2]
            if (
                not keeps
                or len(taken) != 3
                or taken[0] != count
                or channel_axis(call.layer, 3) != 2
                or taken[1] in known
            ):
                continue
            pulls = {i: functools.partial(self._flows[id(call)].pull, i) for i in range(len(self._inputs))}
            found = {i: find_moves(taken, [1], pull) for i, pull in pulls.items()}
            moves = {i: one for i, one in found.items() if one is not None}
            self._token_moves[id(call)] = moves
            known.update([taken[1]] if moves else [])

    def _frames(self, calls: Sequence[Call]) -> dict[int, tuple[tuple[int, ...], ...]]:
        """For `LayerFacts.run_frames`: the runs of each reader that each of these calls depends on."""
        frames = {i: [self._flows[id(one)].among(readers) for one in calls] for i, readers in self._readers.items()}
        return {i: tuple(one or () for one in each) for i, each in frames.items() if None not in each}

    def _is_reader(self, call: Call, i: int) -> bool:
        """Whether a call takes the input, or what was made of it, and says where it takes the channels."""
        kind, taken = kind_of(call.layer), call.input
        if taken is None or channel_axis(call.layer, len(taken.shape)) is None:
            return False
        is_input = taken is self._inputs[i]
        if kind not in _READERS and not (kind == "dense" and is_input and len(taken.shape) == 3):
            return False
        reads = self._reads(call)
        return is_input or (reads is not None and i in reads)

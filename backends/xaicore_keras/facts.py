"""The facts of a model's layers and inputs, from the calls of one pass; what they mean is read in `xaicore.layers`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from xaicore import recording
from xaicore.facts import Facts, LayerFacts, Moves
from xaicore.layers import channel_axes, find_moves
from xaicore.recording import Recording, read_inputs
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


def facts_of(calls: Sequence[Call], inputs: Sequence[Any], flows: Sequence[Flow], count: int) -> Facts:
    """The facts of one pass.

    Args:
        calls: in order of completion.
        inputs: the tensors that the model took.
        flows: of each call's output.
        count: images in that pass.
    """
    return _Reader(calls, inputs, flows).facts(count)


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
        inputs = tuple(read_inputs(self._recording, self._taken_axis, self._pull, has_input_of=True))
        several = {i: one.reader for i, one in enumerate(inputs) if one.reader and len(one.reader_runs) > 1}
        for i, reader in several.items():
            runs = [one for one in self._recording.runs(reader) if self._recording.reads(one, i)]
            self._readers[i] = [self._recorded[one] for one in runs]
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

    def _taken_axis(self, one: recording.Call) -> int | None:
        """Where a layer takes the channels: a convolution, one that reads steps, or a dense layer on the very input."""
        kind, rank = kind_of(one.layer), len(one.taken[0].shape)
        is_input = any(one.taken[0] is given for given in self._inputs)
        may_read = kind in _READERS or (kind == "dense" and rank == 3 and is_input)
        return channel_axis(one.layer, rank) if may_read else None

    def _pull(self, one: recording.Call, i: int, weights: np.ndarray) -> np.ndarray | None:
        return self._flows[id(self._recorded[one])].pull(i, weights)

    def _note_moves(self, count: int) -> None:
        """Where the tokens of the first layer with this number come from, for `LayerFacts.moves`.

        By what a layer takes that keeps the tokens apart: a norm, or a dense layer.
        """
        known: set[int] = set()
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

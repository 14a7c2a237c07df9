"""Which axis of an output holds the classes: the one along which the channels of the layer that made it lie."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.autograd.graph import GradientEdge

from xaicore_torch.calls import Call
from xaicore_torch.layout import channel_axis
from xaicore_torch.links import last_activation, places_of

__all__ = ["find_class_axis"]

MAKERS = ("convolution", "norm", "dense", "recurrent")
"""The kinds of layers whose channels are taken for those of an output."""

MOST = 8
"""The most layers that are tried, from the last on that the output depends on."""

SUM = 1e-3
"""A softmax has a gradient of the sum 0; how far it may be from it, relative to its largest value."""


SEVERAL = -2
"""Stands for several channels; no channel lies beside it."""


@dataclass(frozen=True)
class Start:
    """Where elements of an output y are differentiated: in y itself, or in the logits below its last activation.

    Attributes:
        edge: of the graph.
        like: a tensor of this shape and type.
        shape: of y.
        places: where the elements of y lie in the flat `like`; None: in the same places.
    """

    edge: torch.Tensor | GradientEdge
    like: torch.Tensor
    shape: torch.Size
    places: np.ndarray | None = None

    @classmethod
    def of(cls, y: torch.Tensor) -> Start:
        """Below the last activation, if its values are those of y."""
        last = last_activation(y)
        places = None if last is None else places_of(last, y)
        if last is None or (places is None and not last.is_whole):
            return cls(y, y, y.shape)
        return cls(last.start, last.result, y.shape, places)

    def one(self, at: tuple[int, ...]) -> torch.Tensor:
        """The direction of one element of y."""
        place = int(np.ravel_multi_index(at, self.shape))
        direction = self.like.new_zeros(self.like.numel())
        direction[place if self.places is None else int(self.places[place])] = 1
        return direction.reshape(self.like.shape)


@dataclass(frozen=True)
class Made:
    """A tensor that a layer gave, by its edge of the graph, the axis of its channels, and whether there is but one."""

    edge: GradientEdge
    axis: int
    is_single: bool = False


def find_class_axis(y: torch.Tensor, calls: Sequence[Call]) -> int | None:
    """The axis of recorded outputs y along which the channels lie of the last layer that says where it has them.

    Whatever keeps, moves or resizes axes may follow that layer, also a softmax: an element of y then depends on one of
    its channels alone, and the next element along the axis of the classes on the next channel. 1 where y has no more
    axes; None where no layer shows it.

    Args:
        y: the outputs, images on axis 0. The graph is kept.
        calls: the runs of layers, in their order.
    """
    if y.ndim < 3 or y.shape[2:].numel() == 1:
        return 1
    start = Start.of(y)
    tried = 0
    ones = [axis for axis in range(1, y.ndim) if y.shape[axis] == 1]
    for made in _makers(calls):
        if made.is_single:  # its only channel is the only axis of one element, if there is just one
            if len(ones) == 1 and any(_channel(start, made, at) is not None for at in _elements(y)):
                return ones[0]
            continue
        found = [_axis_along(start, made, at) for at in _elements(y)]
        if all(axis is None for axis in found):  # the output does not depend on this layer
            continue
        settled = {axis for axis in found if axis}
        if len(settled) == 1:
            return settled.pop()
        tried += 1
        if tried == MOST:
            break
    return None


def _makers(calls: Sequence[Call]) -> Iterator[Made]:
    for call in reversed(calls):
        shape, edge = call.output.shape, call.output.edge
        axis = channel_axis(call.module, len(shape)) if call.kind in MAKERS else None
        if axis is not None and edge is not None:
            yield Made(edge, axis, shape[axis] == 1)


def _elements(y: torch.Tensor) -> list[tuple[int, ...]]:
    """Two elements to start from: a head may hold parts beside each other, and a ReLU may hide one."""
    last = tuple(length - 1 for length in y.shape)
    largest = torch.unravel_index(y[0].detach().float().abs().argmax(), y.shape[1:])
    return [(0, *last[1:]), (0, *map(int, largest))]


def _axis_along(start: Start, made: Made, at: tuple[int, ...]) -> int | None:
    """The axis along which the channel of an element moves; 0 where none or several do, None where none is reached."""
    channel = _channel(start, made, at)
    if channel is None:
        return None
    moved = []
    for axis in range(1, len(at)):
        step = -1 if at[axis] else 1
        if start.shape[axis] == 1:
            continue
        other = _channel(start, made, (*at[:axis], at[axis] + step, *at[axis + 1 :]))
        if other is not None and other != channel:
            moved.append((axis, other == channel + step))
    return moved[0][0] if len(moved) == 1 and moved[0][1] else 0


def _channel(start: Start, made: Made, at: tuple[int, ...]) -> int | None:
    """The only channel that an element depends on, or that a softmax over channels is of.

    SEVERAL where there are several, None where it depends on none.
    """
    gradient = None
    with contextlib.suppress(RuntimeError):  # an operation without a gradient
        (gradient,) = torch.autograd.grad(
            start.edge, [made.edge], [start.one(at)], retain_graph=True, allow_unused=True
        )
    if gradient is None or not gradient.any():
        return None
    along = gradient.float().movedim(made.axis, 0).flatten(1)
    reached = along.any(dim=1).nonzero().flatten()
    if len(reached) == 1:
        return int(reached)
    sums = along.sum(dim=1)
    positive = (sums > 0).nonzero().flatten()
    is_softmax = len(positive) == 1 and float(sums.sum().abs()) <= SUM * float(sums.abs().max())
    return int(positive) if is_softmax else SEVERAL

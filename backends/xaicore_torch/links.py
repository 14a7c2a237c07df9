"""The activation that ends a model, and where its values are in the outputs: kept, moved or selected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.autograd.graph import GradientEdge

from xaicore_torch.joined import joined_softmaxes
from xaicore_torch.private import CHANGING, LINKS, MOVING, PASSING, link_result, softmax_axis

__all__ = ["Activation", "End", "find_link", "last_activation", "link_of", "places_of"]

DIGITS = {torch.float64: 2**53, torch.float32: 2**24, torch.float16: 2**11}
"""Whole numbers below these are exact in a type; 256 in bfloat16."""


@dataclass(frozen=True)
class Activation:
    """A softmax, log-softmax or sigmoid, behind which values are only kept, moved, selected or limited.

    Attributes:
        link: "softmax", "log_softmax" or "sigmoid".
        node: of the graph.
        is_whole: the outputs are all of its result, in its order.
        is_linear: they are values of its result, and the graph between them only moves or selects them.
    """

    link: str
    node: Any
    is_whole: bool
    is_linear: bool

    @property
    def axis(self) -> int:
        """Of a softmax, in its result."""
        return softmax_axis(self.node) % self.result.ndim

    @property
    def result(self) -> torch.Tensor:
        """What it gave."""
        return link_result(self.node)

    @property
    def start(self) -> GradientEdge:
        """The edge of the graph just below it."""
        return GradientEdge(*self.node.next_functions[0])


@dataclass(frozen=True)
class End:
    """How a model ends.

    Attributes:
        kind: "logits" or "probabilities", what the outputs are once a link is taken off.
        link: "softmax", "log_softmax", "sigmoid", or None where none is taken off.
        start: the edge of the graph below the link.
        result: what the link gave.
        order: for each value of the result, its place in the flat outputs, -1 where it has none; None: the same places.
        passed: the graph nodes of several links, which gradients pass unchanged, instead of a start below one.
    """

    kind: str
    link: str | None = None
    start: GradientEdge | None = None
    result: torch.Tensor | None = None
    order: np.ndarray | None = None
    passed: tuple[Any, ...] = ()


def link_of(y: torch.Tensor) -> str | None:
    """What made probabilities of a model's logits: "softmax", "sigmoid" or None.

    Operations that only reshape, copy, move or slice the result may follow. None also where the softmax is not over
    axis 1 of y, and for a log-softmax, whose results are logits.

    Args:
        y: the model's outputs (N, classes), recorded by autograd.
    """
    link = find_link(y).link
    return None if link == "log_softmax" else link


def find_link(y: torch.Tensor, class_axis: int = 1) -> End:
    """How recorded outputs end; a softmax is one over the axis of the classes."""
    last = last_activation(y)
    if last is None:
        link, nodes = joined_softmaxes(y, class_axis)
        return End("logits", link, passed=nodes)
    if last.is_whole:
        if last.link != "sigmoid" and not _is_over_classes(last, y, class_axis):
            return End("logits")
        return End("logits", last.link, last.start, last.result)
    places = places_of(last, y)
    kind = "logits" if last.link == "log_softmax" else "probabilities"
    if places is None:
        is_read = last.link == "sigmoid" or _is_over_classes(last, y, class_axis)
        return End(kind if is_read else "logits")
    whole = End("logits", last.link, last.start, last.result, _order_of(places, last.result))
    if last.link == "sigmoid":  # one that is selected counts by itself
        return whole if len(places) == last.result.numel() else End(kind)
    softmaxes = _softmaxes(last, places).reshape(y.shape)
    if class_axis < y.ndim and _is_constant(softmaxes, class_axis):
        return whole if y.shape[class_axis] == last.result.shape[last.axis] else End(kind)
    is_one_of_each = np.bincount(softmaxes.reshape(-1)).max() == 1  # one class, at each position
    return End(kind if is_one_of_each else "logits")


def last_activation(y: torch.Tensor) -> Activation | None:
    """The activation that ends a model with these recorded outputs; None where there is none."""
    node: Any = y.grad_fn
    is_kept = is_linear = True
    while (name := type(node).__name__) in PASSING or name in MOVING or name in CHANGING:
        is_kept = is_kept and name in PASSING
        is_linear = is_linear and name not in CHANGING
        node = node.next_functions[0][0]
    if name not in LINKS:
        return None
    return Activation(LINKS[name], node, is_kept and link_result(node).numel() == y.numel(), is_linear)


def places_of(last: Activation, y: torch.Tensor) -> np.ndarray | None:
    """Where the values of y lie in the flat result of its last activation, which the graph moves or selects.

    None where they are in the same places, or are no values of it, each another one. The graph in between is linear:
    what it pulls back are the numbers of the values, digit by digit.
    """
    if last.is_whole or not last.is_linear:
        return None
    edge, count = GradientEdge(last.node, 0), y.numel()
    numbers = torch.arange(1, count + 1)
    found = np.zeros(last.result.numel(), np.int64)
    digit = min(DIGITS.get(kind, 256) for kind in (y.dtype, last.result.dtype))
    scale = 1
    while scale <= count:
        digits = (numbers // scale % digit).to(y.device, y.dtype).reshape(y.shape)
        (pulled,) = torch.autograd.grad(y, [edge], [digits], retain_graph=True)
        found += pulled.to("cpu", torch.int64).numpy().reshape(-1) * scale
        scale *= digit
    taken = np.flatnonzero(found)
    if len(taken) != count or found.max() > count:
        return None
    places = np.full(count, -1)
    places[found[taken] - 1] = taken
    return places if (places >= 0).all() else None


def _is_over_classes(last: Activation, y: torch.Tensor, class_axis: int) -> bool:
    """Whether a softmax is one over the classes: a reshape may follow, so that numbers of elements are compared."""
    shape, axis = last.result.shape, last.axis
    if len(shape) < 2:
        return False
    if class_axis >= y.ndim or shape[axis] != y.shape[class_axis]:  # a part of the classes, or one of them
        return axis == 1 and (y.ndim < 2 or not last.is_whole)
    return shape[:axis].numel() == y.shape[:class_axis].numel() if last.is_whole else axis > 0


def _order_of(places: np.ndarray, result: torch.Tensor) -> np.ndarray:
    """`End.order`."""
    order = np.full(result.numel(), -1)
    order[places] = np.arange(len(places))
    return order


def _softmaxes(last: Activation, places: np.ndarray) -> np.ndarray:
    """For each output, a number of the softmax that it is of."""
    shape = last.result.shape
    firsts = np.arange(shape.numel()).reshape(shape).take([0], last.axis)
    numbers: np.ndarray = np.broadcast_to(firsts, shape).reshape(-1)[places]
    return numbers


def _is_constant(numbers: np.ndarray, axis: int) -> bool:
    return bool((numbers == numbers.take([0], axis)).all())

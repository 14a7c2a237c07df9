"""One call of a module, as the survey of a pass keeps it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import GradientEdge

from xaicore.facts import Moves, Span
from xaicore.recording import arrivals
from xaicore_torch.layout import kind_of
from xaicore_torch.origins import Origins
from xaicore_torch.private import write_count

__all__ = ["Call", "Snapshot", "is_of_weights", "weights_of"]


class Snapshot:
    """A tensor at one moment: an in-place operation makes another snapshot of the same tensor."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor
        self.shape = tuple(tensor.shape)
        self.node = tensor.grad_fn
        self.edge = None if tensor.grad_fn is None else GradientEdge(tensor.grad_fn, tensor.output_nr)
        self.write_count = write_count(tensor)

    @property
    def key(self) -> tuple[int, int]:
        """Equal for two snapshots that are the same values in the same tensor, while one of them holds it."""
        return id(self.tensor), self.write_count


@dataclass(eq=False)
class Call:
    """One call of a module.

    Attributes:
        taken: the tensors that it took.
        taken_nodes: the graph nodes that made them.
        producers: where each of them comes from: a layer, an input, or elsewhere (None).
        handed_on: the calls inside of it that made its output.
        aliases: the names of those of them that run as often as it does: each of their runs makes the output of one.
        is_ambiguous: its output holds a tensor from inside of it beside others.
        is_constant: neither what it took nor what it gave was recorded, where all of the input is: it reads no input.
        weights: the shapes of what it took of weights alone.
        reads: the inputs that the output depends on.
        moves: {input: where two of its tokens come from}.
        parts: {input: which of its tokens depend on it}.
        reached: {axis: where the gradient arrives}; None where it was not recorded.
    """

    name: str
    module: nn.Module
    taken: list[torch.Tensor]
    taken_nodes: list[Any]
    producers: list[str | int | None]
    output: Snapshot
    handed_on: list[Call] = field(default_factory=list)
    aliases: set[str] = field(default_factory=set)
    is_ambiguous: bool = False
    is_constant: bool = False
    weights: tuple[tuple[int, ...], ...] = ()
    reads: tuple[int, ...] | None = None
    moves: dict[int, Moves] = field(default_factory=dict)
    parts: dict[int, Span] = field(default_factory=dict)
    reached: Mapping[int, Sequence[bool]] | None = None

    @property
    def kind(self) -> str | None:
        """The kind of layer, for `LayerFacts`."""
        return kind_of(self.module)

    def hook(self) -> Callable[[torch.Tensor | None], None]:
        """A hook of the output that notes its gradient, while the call is kept.

        A graph holds its hooks, out of sight of the collector of garbage: a hook that held the call, and with it the
        graph, would keep both for ever.
        """
        method = weakref.WeakMethod(self.note_gradient)

        def note(gradient: torch.Tensor | None) -> None:
            alive = method()
            if alive is not None:
                alive(gradient)

        return note

    def note_gradient(self, gradient: torch.Tensor | None) -> None:
        """Note along each axis where the gradient is not zero; some operations hand on None for zeros."""
        if gradient is None:
            return
        found = arrivals((gradient != 0).cpu().numpy())
        if found:
            self.reached = found


def is_of_weights(tensor: torch.Tensor, node: Any, recorded: Origins) -> bool:
    """Whether a tensor, which this graph node made, is made of weights alone, such as learned queries."""
    return isinstance(tensor, nn.Parameter) if node is None else not recorded.of(node)


def weights_of(call: Call, recorded: Origins) -> tuple[tuple[int, ...], ...]:
    """The shapes of the tensors that a layer takes and that are made of weights alone."""
    taken = zip(call.taken, call.taken_nodes, strict=True)
    return tuple(tuple(tensor.shape) for tensor, node in taken if is_of_weights(tensor, node, recorded))

"""Where in a model's input a tensor comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch.autograd.graph import GradientEdge

from xaicore.facts import Moves, Span
from xaicore.layers import find_moves, find_part, find_span
from xaicore_torch.copies import to_host

__all__ = ["moves_between", "part_of", "span_of"]


def moves_between(tensor: torch.Tensor, leaf: torch.Tensor, axes: Iterable[int]) -> Moves | None:
    """For `InputFacts.reader_moves`: where the slices of these axes of the tensor come from in the leaf.

    Raises:
        RuntimeError: autograd has no gradient of the tensor with respect to the leaf.
    """
    return find_moves(tensor.shape, axes, _pull(tensor, leaf))


def span_of(tensor: torch.Tensor, leaf: torch.Tensor) -> Span | None:
    """For `InputFacts.reader_spans`: on which part of the leaf the tensor depends; None where on nothing.

    Raises:
        RuntimeError: as for `moves_between`.
    """
    return find_span(tensor.shape, _pull(tensor, leaf))


def part_of(tensor: torch.Tensor, leaf: torch.Tensor | GradientEdge, axes: Iterable[int] | None = None) -> Span | None:
    """For `InputFacts.reader_parts` and `LayerFacts.parts`: which part of the tensor depends on the leaf, or on what an
    edge of the graph stands for; None where nothing does.

    Raises:
        RuntimeError: as for `moves_between`.
    """
    return find_part(tensor.shape, _pull(tensor, leaf), axes)


def _pull(tensor: torch.Tensor, leaf: torch.Tensor | GradientEdge) -> Callable[[np.ndarray], np.ndarray | None]:
    def pull(weights: np.ndarray) -> np.ndarray | None:
        direction = torch.from_numpy(weights).to(tensor.device, tensor.dtype)
        (gradient,) = torch.autograd.grad([tensor], leaf, [direction], retain_graph=True, allow_unused=True)
        return None if gradient is None else to_host(gradient)

    return pull

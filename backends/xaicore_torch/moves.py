"""Where in a model's input a tensor comes from, by its gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from xaicore.facts import Moves, Span

__all__ = ["moves_between", "span_of"]


def moves_between(tensor: torch.Tensor, leaf: torch.Tensor, axes: Sequence[int]) -> Moves | None:
    """For `InputFacts.reader_moves`: where the slices of these axes of the tensor come from in the leaf.

    Raises:
        RuntimeError: autograd has no gradient of the tensor with respect to the leaf.
    """
    moves: dict[int, dict[int, tuple[float, float]]] = {}
    generator = torch.Generator().manual_seed(0)
    for axis in axes:
        length = tensor.shape[axis]
        centres = []
        for index in (length // 4, length - 1 - length // 4):
            weights = torch.zeros(tensor.shape)
            chosen = weights.select(axis, index)
            chosen.copy_(torch.rand(chosen.shape, generator=generator) + 0.5)
            weights = weights.to(tensor.device, tensor.dtype)
            (gradient,) = torch.autograd.grad([tensor], [leaf], [weights], retain_graph=True, allow_unused=True)
            if gradient is None:
                return None
            centres.append(list(_centres(gradient.detach().abs().float())))
        moves[axis] = {at + 1: (start, end) for at, (start, end) in enumerate(zip(*centres, strict=True))}
    return moves


def span_of(tensor: torch.Tensor, leaf: torch.Tensor) -> Span | None:
    """For `InputFacts.reader_spans`: on which part of the leaf the tensor depends; None where on nothing.

    Raises:
        RuntimeError: as for `moves_between`.
    """
    weights = (torch.rand(tensor.shape, generator=torch.Generator().manual_seed(0)) + 0.5).to(tensor)
    (gradient,) = torch.autograd.grad([tensor], [leaf], [weights], retain_graph=True, allow_unused=True)
    if gradient is None or not gradient.any():
        return None
    places = gradient.nonzero()
    ends = zip(places.amin(0).tolist(), places.amax(0).tolist(), strict=True)
    return {axis: (first, last) for axis, (first, last) in enumerate(ends) if axis > 0}


def _centres(strength: torch.Tensor) -> Iterator[float]:
    """Along each axis but the first, the middle of where the gradient is strong, as a fraction; NaN where none is.

    The middle of the axis where it is strong here and there, as behind a dense layer, which has no order.
    """
    if not strength.any():  # it was padded on
        yield from [math.nan] * (strength.ndim - 1)
        return
    for axis in range(1, strength.ndim):
        along = strength.sum(dim=[other for other in range(strength.ndim) if other != axis])
        strong = (along >= along.max() / 2).nonzero().float()
        is_local = float(strong.max() - strong.min()) < len(along) / 2
        yield (float(strong.mean()) + 0.5) / len(along) if is_local else 0.5

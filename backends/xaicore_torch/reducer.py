"""Layers of one pass, reduced to what the core needs of them, where their tensors lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from xaicore.capture import Reduction
from xaicore.layers import half_scale
from xaicore_torch.copies import to_host

__all__ = ["Reducer"]


class Reducer:
    """Makes one table of a layer's activations and gradients, in float32 whatever the model computes in.

    Args:
        tensors: {layer: activations}.
        reductions: {layer: what is made of it}.
    """

    def __init__(self, tensors: Mapping[str, torch.Tensor], reductions: Mapping[str, Reduction]) -> None:
        self._activations = {name: tensor.detach().float() for name, tensor in tensors.items()}
        self._reductions = reductions
        self._are_finite: list[torch.Tensor] = []

    def tables(self, gradients: Sequence[torch.Tensor | None], scale: np.float32 | None) -> list[torch.Tensor | None]:
        """(K, rows, L) for gradients (K, *layer) of each layer, of some of the targets; None where there are none.

        Args:
            gradients: in the order of the layers.
            scale: what they are divided by.
        """
        named = zip(self._activations, gradients, strict=True)
        return [None if gradient is None else self._table(name, gradient, scale) for name, gradient in named]

    def _table(self, name: str, gradient: torch.Tensor, scale: np.float32 | None) -> torch.Tensor:
        with torch.no_grad():
            gradient = gradient.float()
            if scale is not None:
                self._are_finite.append(gradient.isfinite().all())
                gradient = gradient / float(scale)
            table: torch.Tensor = self._reductions[name](torch, self._activations[name], gradient.movedim(0, 1))
            return table.movedim(1, 0)

    def in_half(self, pull: Callable[..., list[np.ndarray | None]], direction: np.ndarray) -> list[np.ndarray | None]:
        """`pull_in_half`, for `pull(direction, scale)`, which divides gradients before they are reduced."""
        self._are_finite.clear()
        scale = half_scale(direction)
        found = pull(direction * scale, scale)
        return found if all(self._are_finite) else pull(direction)

    def of_zeros(self, name: str, count: int) -> np.ndarray:
        """The table (rows, K, L) of a layer whose gradients are zero for all of this many targets."""
        zeros = torch.zeros_like(self._activations[name]).expand(count, *self._activations[name].shape)
        return np.moveaxis(to_host(self._table(name, zeros, None)), 0, 1)

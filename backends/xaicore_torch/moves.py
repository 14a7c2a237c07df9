"""Where in a model's input a tensor comes from."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from xaicore.facts import Moves
from xaicore.layers import find_moves
from xaicore_torch.outputs import to_host

__all__ = ["moves_between"]


def moves_between(tensor: torch.Tensor, leaf: torch.Tensor, axes: Iterable[int]) -> Moves | None:
    """For `InputFacts.reader_moves`: where the slices of these axes of the tensor come from in the leaf.

    Raises:
        RuntimeError: autograd has no gradient of the tensor with respect to the leaf.
    """

    def pull(weights: np.ndarray) -> np.ndarray | None:
        direction = torch.from_numpy(weights).to(tensor.device, tensor.dtype)
        (gradient,) = torch.autograd.grad([tensor], [leaf], [direction], retain_graph=True, allow_unused=True)
        return None if gradient is None else to_host(gradient)

    return find_moves(tensor.shape, axes, pull)

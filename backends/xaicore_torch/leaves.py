"""The tensors that one pass is differentiated by."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["Leaf", "Leaves"]

Leaf = tuple[str, Any]
"""What a leaf is, and which: ("layer", its name), ("input", its position), or another kind with a key of its own."""


class Leaves:
    """Keeps tensors of one pass to differentiate by; autograd records only what follows the first of them.

    The pass starts under no_grad. The first leaf is detached, switches grad on and lets the model continue with another
    copy: whatever the model still writes to its own tensors, the leaf stays. Behind another leaf nothing is detached,
    since the first would lose its gradient.

    Attributes:
        tensors: {leaf: its tensor}, on the graph, in the order of the pass.
        are_cut: the model switched grad off between two of them.
    """

    def __init__(self) -> None:
        self.tensors: dict[Leaf, torch.Tensor] = {}
        self.are_cut = False

    def keep(self, leaf: Leaf, tensor: torch.Tensor) -> torch.Tensor:
        """Keep a tensor as a leaf, in place of an earlier one of the same name.

        Returns:
            What the model must continue with.
        """
        self.are_cut = self.are_cut or (bool(self.tensors) and not torch.is_grad_enabled())
        torch.set_grad_enabled(True)
        if self.tensors.keys() - {leaf} and tensor.requires_grad:  # behind another leaf
            kept = tensor.clone()
        else:
            kept = tensor.detach().clone()
            kept.requires_grad_(kept.is_floating_point())
        self.tensors[leaf] = kept
        return kept.clone()

    def of(self, kind: str) -> dict[Any, torch.Tensor]:
        """{which: tensor} of the leaves of one kind."""
        return {which: tensor for (this, which), tensor in self.tensors.items() if this == kind}

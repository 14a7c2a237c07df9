"""Vector-Jacobian products: directions in output space, pulled back to layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.autograd.graph import GradientEdge

from xaicore_torch.outputs import Outputs, to_host

__all__ = ["differentiate", "pull_back"]

HALF_SCALE = 1024.0
"""Gradients in float16 lose what is below 6e-8: so pull back a multiple, and the plain one where that overflows."""


def pull_back(outputs: Outputs, leaves: list[torch.Tensor], direction: np.ndarray) -> list[np.ndarray | None]:
    """Directions (N, K, *O) at the leaves: [(N, K, *leaf) float32], None where one does not reach the outputs."""
    if not outputs.requires_grad:
        return [None] * len(leaves)
    rows = torch.from_numpy(np.ascontiguousarray(direction.swapaxes(0, 1))).to(outputs.device)
    rows = rows.reshape(-1, *outputs.shape)
    if outputs.dtype != torch.float16:
        return _to_host(differentiate(outputs.start, leaves, rows.to(outputs.dtype), False), 1.0)
    gradients: list[torch.Tensor | None] = []
    for scale in (HALF_SCALE / max(1.0, float(rows.abs().max())), 1.0):
        gradients = differentiate(outputs.start, leaves, (rows * scale).to(outputs.dtype), True)
        if all(gradient is None or bool(gradient.isfinite().all()) for gradient in gradients):
            break
    return _to_host(gradients, scale)


def _to_host(gradients: list[torch.Tensor | None], scale: float) -> list[np.ndarray | None]:
    """[(K, N, *leaf)], `scale` times too large, as [(N, K, *leaf)]."""
    hosts = [None if gradient is None else np.moveaxis(to_host(gradient), 0, 1) for gradient in gradients]
    return hosts if scale == 1 else [None if host is None else host / np.float32(scale) for host in hosts]


def differentiate(
    start: torch.Tensor | GradientEdge, leaves: list[torch.Tensor], rows: torch.Tensor, again: bool
) -> list[torch.Tensor | None]:
    """One backward pass for all K rows (K, N, *O): [(K, N, *leaf)]. `again`: the graph is needed once more."""

    def pull(vector: torch.Tensor, batched: bool, retain: bool) -> Sequence[torch.Tensor | None]:
        return torch.autograd.grad(
            [start], leaves, [vector], allow_unused=True, is_grads_batched=batched, retain_graph=retain
        )

    if len(rows) == 1:
        return [None if gradient is None else gradient[None] for gradient in pull(rows[0], False, again)]
    try:
        return list(pull(rows, True, True))
    except RuntimeError:  # an operation that cannot be batched: one row at a time
        parts = zip(*(pull(row, False, True) for row in rows), strict=True)
        return [None if part[0] is None else torch.stack(part) for part in parts]

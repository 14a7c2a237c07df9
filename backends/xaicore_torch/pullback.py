"""Vector-Jacobian products: directions in output space, pulled back to layers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.autograd.graph import GradientEdge

from xaicore import BackendError, LayerError
from xaicore_torch.copies import Copies, to_device
from xaicore_torch.zeros import skipped_zeros

__all__ = ["by_layer", "grad_of_mixture", "pull_back"]

MOST = 2**28
"""The bytes of directions and gradients in one backward pass, 256 MiB; those of more go through several."""


def pull_back(
    start: torch.Tensor | GradientEdge,
    leaves: Sequence[torch.Tensor],
    direction: np.ndarray,
    *,
    like: torch.Tensor | None = None,
    retain_graph: bool = True,
    reduce: Callable[[list[torch.Tensor | None]], list[torch.Tensor | None]] | None = None,
    is_batched: bool = True,
) -> list[np.ndarray | None]:
    """Multiply directions by the Jacobian of `start` with respect to each leaf, in one backward pass, or a few.

    Where an operation has no batched backward pass, there is one pass per direction. What is zero in the directions
    is not multiplied, see `zeros`.

    Args:
        start: a model's recorded outputs, or an edge of its graph.
        leaves: tensors that `start` was computed from.
        direction: (N, K, *O): K directions for each of N images.
        like: a tensor with the shape, type and device of one direction (N, *O) at `start`. None: `start` itself.
        retain_graph: whether the graph is needed again.
        reduce: makes of the gradients (K, N, *leaf) of some of the targets what is brought to the host in their place,
            (K, ...) per leaf.
        is_batched: whether several directions share a backward pass. Those of a compiled graph must not: its kernels
            read memory in an order that the axis of directions changes, and the gradients are silently wrong.

    Returns:
        (N, K, *leaf) float32 per leaf, or what `reduce` made; None for a leaf that `start` does not depend on.
    """
    if isinstance(start, torch.Tensor):
        if not start.requires_grad:
            return [None] * len(leaves)
        like = start if like is None else like
    if like is None:
        raise BackendError("pull_back from a GradientEdge needs `like`, a tensor like one direction there")
    size = (like.numel() + sum(leaf.numel() for leaf in leaves)) * like.element_size()
    count, step = direction.shape[1], max(1, MOST // max(size, 1))
    found = []
    with torch.inference_mode(False):
        for first in range(0, count, step):
            part = np.ascontiguousarray(direction[:, first : first + step].swapaxes(0, 1))
            rows = to_device(part, like.device, like.dtype).reshape(len(part), *like.shape)
            retain = retain_graph or first + step < count
            with skipped_zeros(rows):
                gradients = _differentiate(start, leaves, rows, retain, is_batched)
            brought = gradients if reduce is None else reduce(gradients)
            arrays = iter(Copies(one for one in brought if one is not None).arrays())
            found.append([None if one is None else next(arrays) for one in brought])
    return [_joined(parts) for parts in zip(*found, strict=True)]


def _joined(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Parts of (K, N, *leaf) as (N, K, *leaf)."""
    there = [part for part in parts if part is not None]
    whole = there[0] if len(there) == 1 else np.concatenate(there) if there else None
    return None if whole is None else np.moveaxis(whole, 0, 1)


def grad_of_mixture(
    y: torch.Tensor,
    leaves: Sequence[Any],
    weights: torch.Tensor,
    retain_graph: bool = False,
) -> tuple[torch.Tensor | None, ...]:
    """The gradients of sum(weights * y) at tensors and edges, None for a leaf that y does not depend on.

    That is the same as `grad_outputs=weights`, for which torch imports SymPy: half a second, once per process.
    """
    with torch.enable_grad():
        mixed = (y * weights).sum()
    return torch.autograd.grad([mixed], leaves, allow_unused=True, retain_graph=retain_graph)


def by_layer(pulled: Mapping[str, np.ndarray | None]) -> dict[str, np.ndarray]:
    """{layer: gradient}, checked.

    Raises:
        LayerError: no gradient arrived at a layer.
    """
    gradients = {name: gradient for name, gradient in pulled.items() if gradient is not None}
    unreached = [name for name in pulled if name not in gradients]
    if unreached:
        raise LayerError(
            f"layer {', '.join(map(repr, unreached))} does not reach the outputs: its output is not used (an "
            "in-place layer may be called for its effect alone), or what follows has no gradient (quantised "
            "layers, torch.utils.checkpoint with use_reentrant=True, or the model switches gradients off itself). "
            "Name another: layer=..."
        )
    return gradients


def _differentiate(
    start: torch.Tensor | GradientEdge,
    leaves: Sequence[torch.Tensor],
    rows: torch.Tensor,
    retain_graph: bool,
    is_batched: bool,
) -> list[torch.Tensor | None]:
    """(K, N, *leaf) per leaf, for rows (K, N, *O)."""

    def pull(vector: torch.Tensor, batched: bool, retain: bool) -> Sequence[torch.Tensor | None]:
        if not batched and isinstance(start, torch.Tensor):
            return grad_of_mixture(start, leaves, vector, retain)
        return torch.autograd.grad(
            start, leaves, [vector], allow_unused=True, is_grads_batched=batched, retain_graph=retain
        )

    if len(rows) == 1:
        return [None if gradient is None else gradient[None] for gradient in pull(rows[0], False, retain_graph)]
    if is_batched:
        with contextlib.suppress(RuntimeError):  # an operation that cannot be batched
            return list(pull(rows, True, True))
    columns = zip(*(pull(row, False, True) for row in rows), strict=True)
    return [None if column[0] is None else torch.stack(column) for column in columns]

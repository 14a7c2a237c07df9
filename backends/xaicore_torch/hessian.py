"""Second derivatives of scores with respect to a layer."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from xaicore import BackendError
from xaicore_torch.copies import to_host
from xaicore_torch.leaves import Leaves
from xaicore_torch.origins import graph_nodes
from xaicore_torch.outputs import Outputs
from xaicore_torch.private import ONCE

__all__ = ["differentiable_twice", "hessian_product", "twice_differentiable"]


def twice_differentiable() -> contextlib.AbstractContextManager[Any]:
    """Attention in plain operations for the length of a forward pass: the fused ones have no second derivative."""
    return sdpa_kernel(SDPBackend.MATH)


def differentiable_twice(leaves: Leaves) -> contextlib.AbstractContextManager[Any]:
    """The same as a mode of a recorded pass."""
    return twice_differentiable()


def hessian_product(outputs: Outputs, layer: str, tensor: torch.Tensor, direction: np.ndarray) -> np.ndarray:
    """d/dA <G(A), A0> at A = A0, for the gradient G of the scores: the Hessian times the activations, (N, K, *layer).

    Where the scores are piecewise linear in the layer, as behind ReLUs alone, this is zero.

    Args:
        outputs: of a recorded pass, whose graph is kept.
        layer, tensor: the leaf; the outputs depend on it.
        direction: (N, K, *O).

    Raises:
        BackendError: an operation behind the layer has no second derivative.
    """
    activations = tensor.detach()
    products = []
    try:
        for row in outputs.rows(direction):
            # A function that can be differentiated once says so in the graph only where its gradient requires grad.
            row = row.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(outputs.start, [tensor], [row], create_graph=True)
            _check_twice(gradient)
            (product,) = torch.autograd.grad(gradient, [tensor], [activations], allow_unused=True, retain_graph=True)
            products.append(to_host(torch.zeros_like(tensor) if product is None else product))
    except RuntimeError as exc:
        raise BackendError(
            f"an operation behind layer {layer!r} has no second derivative ({exc}): use a method of first "
            "derivatives, such as 'gradcam'"
        ) from exc
    return np.stack(products, axis=1)


def _check_twice(gradient: torch.Tensor) -> None:
    if any(type(node).__name__ == ONCE for node in graph_nodes(gradient.grad_fn)):
        raise RuntimeError("a torch.autograd.Function that is marked with @once_differentiable")

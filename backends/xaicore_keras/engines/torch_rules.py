"""ReLUs in autograd's graph: hooks on their nodes, for the length of a backward pass; and second derivatives."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from xaicore_keras.private import is_relu
from xaicore_torch import tools

__all__ = ["applied", "nodes", "second"]


@contextlib.contextmanager
def applied(y: torch.Tensor, rule: str) -> Iterator[int]:
    """Gradients of y pass ReLUs by this rule meanwhile; gives the number of ReLUs.

    A ReLU's own backward pass multiplies a gradient by 0 or 1. "guided" makes the gradient positive before that;
    "deconv" puts the positive gradient in place of what comes out.
    """
    relus = [node for node in nodes(y) if is_relu(node)]
    with contextlib.ExitStack() as stack:
        for node in relus:
            hook = node.register_prehook(_positive) if rule == "guided" else node.register_hook(_deconvolved)
            stack.callback(hook.remove)
        yield len(relus)


def nodes(y: torch.Tensor) -> list[Any]:
    """All nodes of the graph behind y."""
    found: dict[Any, None] = {}
    pending = [y.grad_fn]
    while pending:
        node = pending.pop()
        if node is not None and node not in found:
            found[node] = None
            pending += [before for before, _ in node.next_functions]
    return list(found)


def second(y: torch.Tensor, leaf: torch.Tensor, direction: np.ndarray) -> np.ndarray | None:
    """The Hessian of each score times the leaf's own values, (N, K, *leaf); None where y does not depend on the leaf.

    That is the gradient of gradient * values, with these constant.
    """
    if not y.requires_grad:
        return None
    found = []
    with torch.inference_mode(False), torch.enable_grad():
        for row in torch.from_numpy(direction.swapaxes(0, 1).copy()).to(y.device, y.dtype):
            (gradient,) = torch.autograd.grad([y], [leaf], [row], create_graph=True, allow_unused=True)
            if gradient is None:
                return None
            again = None
            if gradient.requires_grad:
                (again,) = torch.autograd.grad(
                    [gradient], [leaf], [leaf.detach()], allow_unused=True, retain_graph=True
                )
            found.append(torch.zeros_like(leaf) if again is None else again)
    return np.stack([tools.to_host(one) for one in found], axis=1)


def _positive(gradients: Any) -> Any:
    return (gradients[0].clamp(min=0),)


def _deconvolved(own: Any, gradients: Any) -> Any:
    return _positive(gradients)

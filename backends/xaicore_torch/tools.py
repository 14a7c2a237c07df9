"""What a backend of another framework needs of PyTorch where that framework runs on it, as Keras may.

These names are public. Importing this module imports torch; importing `xaicore_torch` does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from xaicore_torch.biases import pushed
from xaicore_torch.copies import to_host
from xaicore_torch.devices import devices
from xaicore_torch.hessian import twice_differentiable
from xaicore_torch.links import link_of
from xaicore_torch.loader import preserved_loader
from xaicore_torch.origins import Origins
from xaicore_torch.private import traced_as_graph
from xaicore_torch.pullback import grad_of_mixture, pull_back
from xaicore_torch.state import may_mutate, preserved_model, recorded_weights

__all__ = [
    "Origins",
    "devices",
    "grad_of_mixture",
    "link_of",
    "may_mutate",
    "preserved_loader",
    "preserved_model",
    "pull_back",
    "pushed",
    "recorded_weights",
    "to_host",
    "traced",
    "twice_differentiable",
]

Traced = TypeVar("Traced")
"""What a traced function returns: tensors."""


def traced(function: Callable[..., Traced], *arguments: torch.Tensor) -> Callable[..., Traced]:
    """The operations of `function(*arguments)` as a graph, without those whose results are not used.

    The graph serves tensors of the same shapes, types and devices as these. The function is made functional before it
    is traced, since in-place operations would always be kept.

    Raises:
        Exception: whatever tracing fails with, such as control flow that depends on values.
    """
    functional = torch.func.functionalize(function, remove="mutations_and_views")
    graph = traced_as_graph(functional, *arguments)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    recorded: Callable[..., Traced] = graph
    return recorded

"""Private names of PyTorch, which no other module of this package uses.

Each entry says in which versions its names were seen. tests/torch/test_torch_private.py tries every entry, and fails
with this module's name when a version of PyTorch has renamed or changed one.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase as NormBase
from torch.nn.modules.conv import _ConvNd as Convolution
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd as AdaptiveAvgPool
from torch.nn.modules.pooling import _AdaptiveMaxPoolNd as AdaptiveMaxPool
from torch.nn.modules.pooling import _AvgPoolNd as AvgPool
from torch.nn.modules.pooling import _MaxPoolNd as MaxPool
from torch.nn.utils import parametrize
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.data import DataLoader

__all__ = [
    "CHANGING",
    "COMPILED",
    "LINKS",
    "PASSING",
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "AvgPool",
    "Convolution",
    "MaxPool",
    "NormBase",
    "compiled_module",
    "eager",
    "graph_leaf",
    "has_forward_hooks",
    "has_forward_pre_hooks",
    "link_result",
    "own_buffers",
    "parametrizations_uncached",
    "softmax_axis",
    "traced_as_graph",
    "tree_leaves",
    "tree_map",
    "without_workers",
    "writes",
]

# torch.compile: the attribute under which its wrapper keeps the module.
COMPILED = "_orig_mod"

# Names of autograd's nodes: the last operations of a model. These only pass values on:
PASSING = frozenset(
    {
        "AliasBackward0",
        "BackwardHookFunctionBackward",  # the user's full backward hook
        "CloneBackward0",
        "ReshapeAliasBackward0",
        "SqueezeBackward0",
        "SqueezeBackward1",
        "SqueezeBackward2",
        "ToCopyBackward0",
        "UnsafeViewBackward0",
        "UnsqueezeBackward0",
        "ViewBackward0",
    }
)
# These select or limit values: probabilities stay probabilities, but are no longer all of the link's result.
CHANGING = frozenset(
    {
        "ClampBackward1",
        "ClampMaxBackward0",
        "ClampMinBackward0",
        "IndexBackward0",
        "PermuteBackward0",
        "SelectBackward0",
        "SliceBackward0",
        "TBackward0",
        "TransposeBackward0",
    }
)
# These turn logits into probabilities:
LINKS = {"SoftmaxBackward0": "softmax", "LogSoftmaxBackward0": "log_softmax", "SigmoidBackward0": "sigmoid"}


def compiled_module(model: nn.Module) -> nn.Module | None:
    """The module inside of torch.compile's wrapper; None if the model is no such wrapper."""
    return dict(model.named_children()).get(COMPILED)


def eager() -> contextlib.AbstractContextManager[Any]:
    """Run compiled modules without compiling: a module that was compiled before ignores hooks.

    Nothing is compiled where Dynamo was never imported.
    """
    if "torch._dynamo" not in sys.modules or not hasattr(torch.compiler, "set_stance"):
        return contextlib.nullcontext()
    return torch.compiler.set_stance("force_eager")


def has_forward_pre_hooks(module: nn.Module) -> bool:
    """Whether hooks run before the module's forward pass."""
    return bool(module._forward_pre_hooks)


def has_forward_hooks(module: nn.Module) -> bool:
    """Whether hooks run after the module's forward pass."""
    return bool(module._forward_hooks)


def own_buffers(module: nn.Module) -> dict[str, torch.Tensor | None]:
    """The module's dictionary of its own buffers: writing to it replaces a buffer without any check."""
    return module._buffers


def writes(tensor: torch.Tensor) -> int:
    """How many in-place operations have written to the tensor; 0 for inference tensors, which do not count them."""
    return 0 if tensor.is_inference() else tensor._version


def link_result(node: Any) -> torch.Tensor:
    """The result that the graph node of a softmax, log-softmax or sigmoid keeps for its backward pass."""
    result: torch.Tensor = node._saved_result
    return result


def graph_leaf(node: Any) -> torch.Tensor | None:
    """The leaf tensor that a node of autograd's graph accumulates gradients for; None for any other node."""
    leaf: torch.Tensor | None = getattr(node, "variable", None)
    return leaf


def softmax_axis(node: Any) -> int:
    """The axis of a softmax or log-softmax, from its graph node. A negative one may be stored modulo 2**64."""
    axis: int = node._saved_dim
    return axis - 2**64 if axis >= 2**63 else axis


@contextlib.contextmanager
def without_workers(loader: DataLoader[Any]) -> Iterator[None]:
    """Set a loader's persistent workers aside, so that reading it starts new ones."""
    attributes = dict(vars(loader))
    try:
        # DataLoader.__setattr__ refuses to change persistent_workers.
        vars(loader).update(persistent_workers=False, _iterator=None)
        yield
    finally:
        vars(loader).update(attributes)


@contextlib.contextmanager
def parametrizations_uncached(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Set aside what `parametrize.cached()` holds of these modules' weights.

    A weight computed without grad in evaluation mode must not be served to the caller's training pass.
    """
    if not parametrize._cache_enabled:
        yield
        return
    ids = {id(module) for module in modules}
    outside = _pop_cached(ids)
    try:
        yield
    finally:
        _pop_cached(ids)
        if parametrize._cache_enabled:  # else the caller's `cached()` ended in between, and its values with it
            parametrize._cache.update(outside)


def _pop_cached(ids: set[int]) -> dict[Any, Any]:
    """Remove and return the cache's entries, {(id of module, name): tensor}, of the modules with these ids."""
    keys = [key for key in list(parametrize._cache) if key[0] in ids]
    return {key: parametrize._cache.pop(key) for key in keys}


def traced_as_graph(function: Callable[..., torch.Tensor], *arguments: torch.Tensor) -> torch.fx.GraphModule:
    """The operations of `function(*arguments)`, recorded with tensors that have no values."""
    from torch.fx.experimental.proxy_tensor import make_fx  # here, since it imports SymPy and Dynamo

    return make_fx(function, tracing_mode="fake", _allow_non_fake_inputs=True)(*arguments)

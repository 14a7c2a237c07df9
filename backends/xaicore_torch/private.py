"""Private names of PyTorch, which no other module of this package uses.

The versions at each entry are those in which it was tried: 2.4.0, 2.6.0, 2.13.0 and 2.14.1, by
tests/torch/test_torch_private.py. That test tries every entry, and fails with this module's name when a version of
PyTorch has renamed or changed one.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase as NormBase  # 2.4 to 2.14
from torch.nn.modules.conv import _ConvNd as Convolution  # 2.4 to 2.14
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd as AdaptiveAvgPool  # 2.4 to 2.14
from torch.nn.modules.pooling import _AdaptiveMaxPoolNd as AdaptiveMaxPool  # 2.4 to 2.14
from torch.nn.modules.pooling import _AvgPoolNd as AvgPool  # 2.4 to 2.14
from torch.nn.modules.pooling import _MaxPoolNd as MaxPool  # 2.4 to 2.14
from torch.nn.utils import parametrize
from torch.utils._python_dispatch import TorchDispatchMode  # 2.13 and 2.14
from torch.utils._pytree import tree_leaves, tree_map  # 2.4 to 2.14
from torch.utils.data import DataLoader

__all__ = [
    "CHANGING",
    "COMPILED",
    "FLEX",
    "HIDING",
    "JOINING",
    "LINKS",
    "MOVING",
    "ONCE",
    "OTHER_ACTIVATIONS",
    "PASSING",
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "AvgPool",
    "Convolution",
    "DispatchMode",
    "MaxPool",
    "NormBase",
    "compiled_module",
    "compiling",
    "eager",
    "graph_leaf",
    "has_forward_hooks",
    "has_forward_pre_hooks",
    "hook_tables",
    "is_rectifier",
    "is_view",
    "kept_for_several_pulls",
    "link_result",
    "own_buffers",
    "parametrizations_uncached",
    "softmax_axis",
    "traced_as_graph",
    "tree_leaves",
    "tree_map",
    "without_backward_hooks",
    "without_workers",
    "write_count",
]

# The attribute under which torch.compile's wrapper keeps the module. 2.4 to 2.14
COMPILED = "_orig_mod"

# The name of the operator that flex_attention ends in, as a mode of functions sees it. 2.13 and 2.14
FLEX = "flex_attention"

# Classes of autograd's nodes, by the last operations of a model. 2.4 to 2.14
# These only pass values on:
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
# These move values, or select them by fixed places:
MOVING = frozenset({"PermuteBackward0", "SelectBackward0", "SliceBackward0", "TBackward0", "TransposeBackward0"})
# These limit values, or select them by other values: probabilities stay probabilities.
CHANGING = frozenset({"ClampBackward1", "ClampMaxBackward0", "ClampMinBackward0", "IndexBackward0"})
# These put several tensors into one; the last writes into a part of one:
JOINING = frozenset({"CatBackward0", "CopySlices", "StackBackward0"})
# These turn logits into probabilities:
LINKS = {"SoftmaxBackward0": "softmax", "LogSoftmaxBackward0": "log_softmax", "SigmoidBackward0": "sigmoid"}

# Activations that are no ReLUs, by their nodes. 2.13, 2.14
OTHER_ACTIVATIONS = {
    "CeluBackward0": "CELU",
    "CeluBackward1": "CELU",
    "EluBackward0": "ELU",
    "EluBackward1": "ELU",
    "GeluBackward0": "GELU",
    "HardsigmoidBackward0": "Hardsigmoid",
    "HardswishBackward0": "Hardswish",
    "HardtanhBackward0": "Hardtanh",  # one that is no ReLU
    "HardtanhBackward1": "Hardtanh",
    "LeakyReluBackward0": "LeakyReLU",
    "LeakyReluBackward1": "LeakyReLU",
    "MishBackward0": "Mish",
    "PreluKernelBackward0": "PReLU",
    "RreluWithNoiseBackward0": "RReLU",
    "RreluWithNoiseBackward1": "RReLU",
    "SigmoidBackward0": "Sigmoid",
    "SiluBackward0": "SiLU",
    "SoftmaxBackward0": "Softmax",
    "SoftplusBackward0": "Softplus",
    "TanhBackward0": "Tanh",
    "ThresholdBackward0": "Threshold",  # one that is no ReLU
    "ThresholdBackward1": "Threshold",
}
# The node that a torch.autograd.Function with @once_differentiable leaves in the graph of its gradient. 2.13, 2.14
ONCE = "Error"
# Nodes that stand for a whole part of a model, by a part of their names.
HIDING = ("CompiledFunction", "DifferentiableGraph")


class DispatchMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A mode whose `__torch_dispatch__` sees each operation of the thread, also those of a backward pass."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:  # 2.13 and 2.14
        return False  # to skip it imports torch._dynamo first, which takes seconds


def compiled_module(model: nn.Module) -> nn.Module | None:
    """The module inside of torch.compile's wrapper; None if the model is no such wrapper."""
    return dict(model.named_children()).get(COMPILED)


def eager() -> contextlib.AbstractContextManager[Any]:
    """Run compiled modules without compiling: a module that was compiled before ignores hooks.

    Nothing has been compiled where `torch._dynamo` was never imported (2.4 to 2.14). Before 2.6, which brought
    set_stance, such modules keep ignoring hooks.
    """
    if "torch._dynamo" not in sys.modules or not hasattr(torch.compiler, "set_stance"):
        return contextlib.nullcontext()
    return torch.compiler.set_stance("force_eager")


def compiling() -> contextlib.AbstractContextManager[Any]:
    """Run compiled modules compiled, inside of `eager`."""
    return torch.compiler.set_stance("default")


def kept_for_several_pulls() -> contextlib.AbstractContextManager[Any]:
    """Compile backward passes that do not overwrite what they read, so that another one may follow; and run them."""
    from torch._functorch import config  # 2.13 and 2.14; here, since compiling alone needs it

    return config.patch(donated_buffer=False)


def has_forward_pre_hooks(module: nn.Module) -> bool:
    """Whether hooks run before the module's forward pass."""
    return bool(module._forward_pre_hooks)  # 2.4 to 2.14


def has_forward_hooks(module: nn.Module) -> bool:
    """Whether hooks run after the module's forward pass."""
    return bool(module._forward_hooks)  # 2.4 to 2.14


def hook_tables(module: nn.Module) -> list[dict[int, Any]]:
    """The module's dictionaries of hooks, {number of the hook: what is kept of it}."""
    return [  # 2.4 to 2.14
        *(module._forward_hooks, module._forward_hooks_with_kwargs, module._forward_hooks_always_called),
        *(module._forward_pre_hooks, module._forward_pre_hooks_with_kwargs),
        *(module._backward_hooks, module._backward_pre_hooks),
    ]


@contextlib.contextmanager
def without_backward_hooks(model: nn.Module) -> Iterator[None]:
    """No backward hook sees the passes of this model's modules that are recorded meanwhile: theirs, or those of all."""
    none: dict[str, Callable[[], Any]] = {"_get_backward_hooks": lambda: ([], []), "_get_backward_pre_hooks": list}
    modules = [module for module in model.modules() if not isinstance(module, torch.jit.ScriptModule)]
    try:
        for module in modules:  # the instances' own methods, 2.4 to 2.14: other models keep hooks that are set for all
            vars(module).update(none)
        yield
    finally:
        for module in modules:
            for name in none:
                vars(module).pop(name, None)


def own_buffers(module: nn.Module) -> dict[str, torch.Tensor | None]:
    """The module's dictionary of its own buffers: writing to it replaces a buffer without any check."""
    return module._buffers  # 2.4 to 2.14


def write_count(tensor: torch.Tensor) -> int:
    """How many in-place operations have written to the tensor; 0 for inference tensors, which do not count them."""
    return 0 if tensor.is_inference() else tensor._version  # 2.4 to 2.14


def is_view(tensor: torch.Tensor) -> bool:
    """Whether autograd knows the tensor as a view of another one."""
    return tensor._is_view()  # 2.4 to 2.14


def link_result(node: Any) -> torch.Tensor:
    """The result that the graph node of a softmax, log-softmax or sigmoid keeps for its backward pass."""
    result: torch.Tensor = node._saved_result  # 2.4 to 2.14
    return result


def is_rectifier(node: Any) -> bool:
    """Whether a graph node is that of a ReLU, in any of its forms, see `rectifiers`."""
    name = type(node).__name__  # 2.13, 2.14; so are the attributes
    if name == "ReluBackward0":
        return True
    if name.startswith("HardtanhBackward"):
        return bool(node._saved_min_val == 0)
    if name.startswith("ThresholdBackward"):
        return bool(node._saved_threshold == 0)
    if name == "ClampMinBackward0":
        return bool(node._saved_min == 0)
    if name == "ClampBackward1":
        return node._saved_min == 0 and node._saved_max in (None, 6)
    if name in ("ClampBackward0", "ClampMinBackward1"):
        return _is_zero(node._saved_min) and getattr(node, "_saved_max", None) is None
    return name == "MaximumBackward0" and (_is_zero(node._saved_other) or _is_zero(node._saved_self))


def _is_zero(tensor: torch.Tensor | None) -> bool:
    return tensor is not None and not tensor.any()


def graph_leaf(node: Any) -> torch.Tensor | None:
    """The leaf tensor that a node of autograd's graph accumulates gradients for; None for any other node."""
    leaf: torch.Tensor | None = getattr(node, "variable", None)
    return leaf


def softmax_axis(node: Any) -> int:
    """The axis of a softmax or log-softmax, from its graph node."""
    axis: int = node._saved_dim  # 2.4 to 2.14
    return axis - 2**64 if axis >= 2**63 else axis  # it is kept without a sign


@contextlib.contextmanager
def without_workers(loader: DataLoader[Any]) -> Iterator[None]:
    """Set a loader's persistent workers aside, so that reading it starts new ones."""
    attributes = dict(vars(loader))
    try:
        # Not by setattr: a DataLoader refuses to change persistent_workers. `_iterator`: 2.4 to 2.14
        vars(loader).update(persistent_workers=False, _iterator=None)
        yield
    finally:
        vars(loader).update(attributes)


@contextlib.contextmanager
def parametrizations_uncached(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Set aside what `parametrize.cached()` holds of these modules' weights.

    A weight computed without grad in evaluation mode must not be served to the caller's training pass.
    """
    if not parametrize._cache_enabled:  # 2.4 to 2.14
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
    keys = [key for key in list(parametrize._cache) if key[0] in ids]  # 2.4 to 2.14
    return {key: parametrize._cache.pop(key) for key in keys}


def traced_as_graph(function: Callable[..., Any], *arguments: torch.Tensor) -> torch.fx.GraphModule:
    """The operations of `function(*arguments)`, recorded with tensors that have no values."""
    from torch.fx.experimental.proxy_tensor import make_fx  # 2.4 to 2.14; here, since only Keras traces

    return make_fx(function, tracing_mode="fake", _allow_non_fake_inputs=True)(*arguments)

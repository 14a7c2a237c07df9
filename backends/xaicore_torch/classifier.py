"""The dense layers that may be CAM's classifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from xaicore.layers import Dense, Grid, find_classifier, never_ran
from xaicore.outputs import tolerance
from xaicore_torch.copies import to_host
from xaicore_torch.hooks import Hooks
from xaicore_torch.inputs import Inputs
from xaicore_torch.outputs import first_tensor, is_half
from xaicore_torch.private import Convolution, has_forward_pre_hooks

__all__ = ["DenseModule", "as_dense", "features", "search_classifier", "weight_is_computed"]

DenseModule: TypeAlias = nn.Linear | Convolution


def search_classifier(
    model: nn.Module, layer: str, features: np.ndarray, outputs: np.ndarray, tolerance: float
) -> DenseModule:
    """The module that turns the spatial mean of features (N, C, *S) of the layer into outputs (N, ...).

    Raises:
        MethodError: there is none.
    """
    modules = {name: module for name, module in model.named_modules() if _fits(module, features, outputs)}
    candidates = {name: as_dense(module) for name, module in modules.items()}
    found = find_classifier(
        features,
        outputs,
        candidates,
        model=type(model).__name__,
        layer=layer,
        hint=", or, for a net of convolutions, xaicore_torch.cam_model(model, classes), which makes such a net",
        tolerance=tolerance,
    )
    return modules[found]


def features(
    run: Callable[[Inputs], torch.Tensor], batch: Inputs, layer: str, module: nn.Module, grid: Grid
) -> tuple[np.ndarray, np.ndarray, float]:
    """Of one pass without recording: the layer's activations (N, C, *S), the outputs, and their tolerance."""
    tensors: list[torch.Tensor] = []

    def keep(name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        tensor = first_tensor(output)
        tensors[:] = [] if tensor is None else [tensor.clone()]  # what follows may work in place

    with Hooks({layer: module}, keep):
        y = run(batch.clone())
    if not tensors:
        raise never_ran(layer)
    return grid.arrange(to_host(tensors[0])), to_host(y), tolerance(is_half(tensors[0]) or is_half(y))


def as_dense(module: DenseModule) -> Dense:
    """Weight and bias of a dense layer, or of a convolution with a kernel of one position."""
    weight = to_host(module.weight)
    return Dense(weight.reshape(len(weight), -1).copy(), None if module.bias is None else to_host(module.bias))


def weight_is_computed(module: nn.Module) -> bool:
    """Whether every pass computes the module's weight: by a parametrization, or by a hook as the old weight_norm."""
    return parametrize.is_parametrized(module) or has_forward_pre_hooks(module)


def _fits(module: nn.Module, features: np.ndarray, outputs: np.ndarray) -> bool:
    """Whether the module is dense, takes as many channels as there are, and gives as many classes."""
    if isinstance(module, nn.Linear):
        channels, classes = module.in_features, module.out_features
    elif isinstance(module, Convolution) and set(module.kernel_size) == {1} and module.groups == 1:
        channels, classes = module.in_channels, module.out_channels
    else:
        return False
    return channels == features.shape[1] and classes * len(features) == outputs.size

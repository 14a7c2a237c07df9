"""What the outputs of layers have beyond their derivatives times what they took: biases, whatever the classes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from xaicore_torch.hooks import Hooks
from xaicore_torch.inputs import Inputs
from xaicore_torch.outputs import to_host
from xaicore_torch.state import preserved_model

__all__ = ["find_biases"]

ROUNDING = 1e-5
"""The share of an output's largest value that may be rounding."""


def find_biases(model: nn.Module, batch: Inputs) -> Mapping[str, np.ndarray]:
    """{layer: f(z) - f'(z) z}, (1, *layer) float32, where that is not zero; "layer#2" is a second run.

    f is an innermost layer and z what it takes. Each is asked again in each of its runs, by `forward` itself, so that
    neither the user's hooks nor these run for it. A layer that takes or gives anything but one tensor, or has no
    forward derivative, has no such bias.

    Args:
        model: without wrappers.
        batch: what it takes, one image.
    """
    found: dict[str, list[np.ndarray]] = {}

    def ask(name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        is_one = len(args) == 1 and isinstance(args[0], torch.Tensor) and args[0].is_floating_point()
        found.setdefault(name, []).append(to_host(_bias(module, args[0])) if is_one else np.zeros(1, np.float32))

    modules = {name: module for name, module in model.named_modules() if name and _is_innermost(module)}
    with preserved_model(model, batch.picture.device), Hooks(modules, ask):
        batch.clone().run(model)
    return {name: bias for name, bias in _named(found) if bias.any()}


def _bias(module: nn.Module, taken: torch.Tensor) -> torch.Tensor:
    """f(z) - f'(z) z, zeros where it is no more than rounding; f(0), which is exact, where both are the same."""

    def forward(z: torch.Tensor) -> Any:
        return module.forward(z.clone())  # some work in place

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch scripts derivatives, which it deprecates
            output, linear = torch.func.jvp(forward, (taken,), (taken,))[:2]
    except (NotImplementedError, RuntimeError, TypeError):
        return torch.zeros(1)
    offset = output - linear
    allowed = ROUNDING * max(float(output.abs().max()), float(linear.abs().max())) if offset.numel() else 0.0
    if not offset.abs().max() > allowed:
        return torch.zeros(1)
    at_zero = forward(torch.zeros_like(taken))
    return at_zero if torch.allclose(at_zero, offset, rtol=0, atol=10 * allowed) else offset


def _named(found: Mapping[str, list[np.ndarray]]) -> Iterator[tuple[str, np.ndarray]]:
    for name, runs in found.items():
        for run, bias in enumerate(runs, start=1):
            yield (name if len(runs) == 1 else f"{name}#{run}"), bias


def _is_innermost(module: nn.Module) -> bool:
    """Whether a module has no modules inside of it but those that compute its weights."""
    return all(name == "parametrizations" for name, _ in module.named_children())

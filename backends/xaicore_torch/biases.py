"""What the outputs of layers have beyond their derivatives times what they took: biases, whatever the classes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from xaicore.layers import offset
from xaicore_torch.copies import to_host
from xaicore_torch.hooks import Hooks
from xaicore_torch.inputs import Inputs
from xaicore_torch.state import preserved_model

__all__ = ["find_biases", "pushed"]


def find_biases(model: nn.Module, batch: Inputs) -> Mapping[str, np.ndarray]:
    """{layer: f(z) - f'(z) z}, (1, *layer) float32, where that is not zero; "layer#2" is a second run.

    f is an innermost layer and z what it takes. Each is asked again in each of its runs, by `forward` itself, so that
    neither the user's hooks nor these run for it. A layer that takes or gives anything but one tensor, or has no
    forward derivative, has no such bias.

    Args:
        model: without wrappers.
        batch: what it takes, one image.
    """
    found: dict[str, list[np.ndarray | None]] = {}

    def ask(name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        is_one = len(args) == 1 and isinstance(args[0], torch.Tensor) and args[0].is_floating_point()
        found.setdefault(name, []).append(_bias(module, args[0]) if is_one else None)

    modules = {name: module for name, module in model.named_modules() if name and _is_innermost(module)}
    with preserved_model(model, batch.picture.device), Hooks(modules, ask):
        batch.clone().run(model)
    return {name: bias for name, bias in _named(found) if bias is not None}


def pushed(function: Callable[[torch.Tensor], Any], tensor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """f(z) and f'(z) z, of a function f of one tensor z, which may write to it.

    Raises:
        RuntimeError, NotImplementedError, TypeError: f has no forward derivative.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch scripts derivatives, which it deprecates
        output, linear = torch.func.jvp(lambda z: function(z.clone()), (tensor,), (tensor,))[:2]
    return output, linear


def _bias(module: nn.Module, taken: torch.Tensor) -> np.ndarray | None:
    """f(z) - f'(z) z; None where it is zero, or where the module has no forward derivative."""

    try:
        output, linear = pushed(module.forward, taken)
    except (NotImplementedError, RuntimeError, TypeError):
        return None

    def at_zero() -> np.ndarray:
        return to_host(module.forward(torch.zeros_like(taken)))

    return offset(to_host(output), to_host(linear), at_zero, torch.finfo(taken.dtype).eps)


def _named(found: Mapping[str, list[np.ndarray | None]]) -> Iterator[tuple[str, np.ndarray | None]]:
    for name, runs in found.items():
        for run, bias in enumerate(runs, start=1):
            yield (name if len(runs) == 1 else f"{name}#{run}"), bias


def _is_innermost(module: nn.Module) -> bool:
    """Whether a module has no modules inside of it but those that compute its weights."""
    return all(name == "parametrizations" for name, _ in module.named_children())

"""What the layers with weights answer to zeros: their biases, whatever their classes."""

from __future__ import annotations

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


def find_biases(model: nn.Module, batch: Inputs) -> Mapping[str, np.ndarray]:
    """{layer: its output to zeros (1, *layer)}, float32, where that is not zero; "layer#2" is a second run.

    Every innermost layer with weights is asked, once for each of its runs, with zeros in the shape of what it took for
    the first image. `forward` is called itself, so that neither the user's hooks nor these run for it. A layer that
    takes or gives anything but one tensor has no such output.

    Args:
        model: without wrappers.
        batch: what it takes, the first image alone.
    """
    found: dict[str, list[np.ndarray]] = {}

    def ask(name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        bias = np.zeros(1, np.float32)
        if len(args) == 1 and isinstance(args[0], torch.Tensor) and args[0].is_floating_point():
            answer = module.forward(torch.zeros_like(args[0][:1]))
            bias = to_host(answer) if isinstance(answer, torch.Tensor) else bias
        found.setdefault(name, []).append(bias)

    modules = {name: module for name, module in model.named_modules() if name and _has_weights(module)}
    with preserved_model(model, batch.picture.device), Hooks(modules, ask):
        batch.clone().run(model)
    return {name: bias for name, bias in _named(found) if bias.any()}


def _named(found: Mapping[str, list[np.ndarray]]) -> Iterator[tuple[str, np.ndarray]]:
    for name, runs in found.items():
        for run, bias in enumerate(runs, start=1):
            yield (name if len(runs) == 1 else f"{name}#{run}"), bias


def _has_weights(module: nn.Module) -> bool:
    """Whether a module has parameters or buffers, and no modules inside of it but those that compute its weights."""
    inside = [name for name, _ in module.named_children() if name != "parametrizations"]
    return not inside and (any(True for _ in module.parameters()) or any(True for _ in module.buffers()))

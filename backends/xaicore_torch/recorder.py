"""One recorded pass: keeps the chosen layers' outputs, and starts recording at the first of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from xaicore.layers import split_run
from xaicore_torch.hooks import Hooks
from xaicore_torch.outputs import replace_first_tensor

__all__ = ["Recorder"]


class Recorder:
    """Keeps tensors to differentiate by; autograd records only what follows the first chosen layer.

    The pass starts under no_grad. A chosen layer's hook detaches its output as a leaf, switches grad on and lets the
    model continue with another copy: whatever the model still writes to its own tensors, the activations stay. Behind
    another chosen layer nothing is detached, since the first would lose its gradient.

    A layer that runs several times counts by its last run, unless its name chooses another: "conv#1". Runs before it
    are not recorded, since that would keep everything between them.

    Args:
        modules: {layer: module}.
        expected_runs: {layer: how often it is expected to run}; 1 where it is missing.

    Attributes:
        tensors: {layer: its output}, on the graph.
        runs: {layer: how often it ran}.
        hooks: for the pass.
    """

    def __init__(self, modules: Mapping[str, nn.Module], expected_runs: Mapping[str, int]) -> None:
        self.tensors: dict[str, torch.Tensor] = {}
        self.runs: dict[str, int] = {}
        self.hooks = Hooks(modules, self._on_output)
        self._expected_runs = expected_runs

    @property
    def missed_a_run(self) -> bool:
        """Whether a layer ran, but less often than expected, so that its last run was not recorded."""
        return any(count < self._expected_runs.get(name, 1) for name, count in self.runs.items())

    def _on_output(self, name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        self.runs[name] = self.runs.get(name, 0) + 1
        _, chosen_run = split_run(name)
        is_last = self.runs[name] >= self._expected_runs.get(name, 1)
        if not (is_last if chosen_run is None else self.runs[name] == chosen_run):
            return None
        return replace_first_tensor(output, lambda tensor: self._record(name, tensor))

    def _record(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        torch.set_grad_enabled(True)
        if self.tensors.keys() - {name} and tensor.requires_grad:  # behind another chosen layer
            recorded = tensor.clone()
        else:
            recorded = tensor.detach().clone()
            recorded.requires_grad_(recorded.is_floating_point())
        self.tensors[name] = recorded
        return recorded.clone()

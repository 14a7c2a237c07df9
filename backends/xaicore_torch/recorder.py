"""Keeps the chosen layers' outputs as leaves of one pass."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import torch
from torch import nn

from xaicore.layers import never_ran, no_run, split_run
from xaicore_torch.hooks import Hooks, PassStopped
from xaicore_torch.layout import images_first
from xaicore_torch.leaves import Leaves
from xaicore_torch.outputs import replace_first_tensor, tensors_in

__all__ = ["Recorder", "check_run", "taken_by"]


class Recorder:
    """Keeps the first tensor that each layer gives as the leaf ("layer", name).

    A layer that runs several times counts by its last run, unless its name chooses another: "conv#1". Runs before it
    are not recorded, since that would keep everything between them.

    Args:
        modules: {layer: module}.
        expected_runs: {layer: how often it is expected to run}; 1 where it is missing.
        leaves: where the outputs are kept.

    Attributes:
        runs: {layer: how often it ran}.
        hooks: for the pass.
    """

    def __init__(self, modules: Mapping[str, nn.Module], expected_runs: Mapping[str, int], leaves: Leaves) -> None:
        self.runs: dict[str, int] = {}
        self.hooks = Hooks(modules, self._on_output)
        self._expected_runs = expected_runs
        self._leaves = leaves

    @property
    def missed_a_run(self) -> bool:
        """Whether a layer ran, but less often than expected, so that its last run was not recorded."""
        return any(count < self._expected(name) for name, count in self.runs.items())

    def _expected(self, name: str) -> int:
        return self._expected_runs.get(name, 1)

    def _on_output(self, name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        self.runs[name] = self.runs.get(name, 0) + 1
        _, chosen_run = split_run(name)
        is_last = self.runs[name] >= self._expected(name)
        if not (is_last if chosen_run is None else self.runs[name] == chosen_run):
            return None
        return replace_first_tensor(output, lambda tensor: self._leaves.keep(("layer", name), tensor))


def check_run(name: str, runs: int) -> None:
    """Check that a layer that ran this often has the run that its name chooses, if it chooses one.

    Raises:
        LayerError: it has not.
    """
    layer, run = split_run(name)
    if isinstance(run, int) and run > runs:
        raise no_run(layer, run, runs)


def taken_by(layer: str, module: nn.Module, run: Callable[[], Any]) -> torch.Tensor:
    """The first tensor that a layer takes in its first run, before which the pass ends; images are on the first axis.

    Raises:
        LayerError: it does not run.
    """
    taken: list[torch.Tensor] = []

    def keep(name: str, module: nn.Module, args: tuple[Any, ...]) -> None:
        taken.extend(images_first(module, tensor).clone() for tensor in islice(tensors_in(args), 1))
        raise PassStopped

    with Hooks({layer: module}, lambda *_: None, keep), contextlib.suppress(PassStopped):
        run()
    if not taken:
        raise never_ran(layer)
    return taken[0]

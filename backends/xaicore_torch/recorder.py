"""One recorded pass: keeps the wanted layers' outputs and starts recording at the first of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from xaicore_torch.hooks import Hooks

__all__ = ["Recorder"]


class Recorder:
    """Keeps what to differentiate by; only what follows the first wanted layer is recorded.

    The pass runs under no_grad. A wanted layer's hook cuts its output off as a leaf, switches grad on and lets
    the model go on with another copy: whatever the model still writes into its own tensors, the activations
    stay. Behind another wanted layer nothing is cut, else the first would lose its gradient.

    A layer that runs several times counts by its last run. `runs` says how often each is expected to; earlier
    runs are not recorded, since that would hold everything between them.
    """

    def __init__(self, modules: Mapping[str, nn.Module], runs: Mapping[str, int]) -> None:
        self.kept: dict[str, torch.Tensor] = {}
        self.counts: dict[str, int] = {}
        self.hooks = Hooks(modules, self._hook)
        self._runs = runs

    @property
    def expected_more(self) -> bool:
        """Whether a layer ran, but less often than expected, so that its last run went by unrecorded."""
        return any(count < self._runs.get(name, 1) for name, count in self.counts.items())

    def _hook(self, name: str, module: nn.Module, args: tuple[Any, ...], answer: Any) -> Any:
        self.counts[name] = self.counts.get(name, 0) + 1
        if self.counts[name] < self._runs.get(name, 1):
            return None
        return _with_first_tensor(answer, lambda tensor: self._keep(name, tensor))

    def _keep(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        torch.set_grad_enabled(True)
        if self.kept.keys() - {name} and tensor.requires_grad:  # behind another wanted layer
            kept = tensor.clone()
        else:
            kept = tensor.detach().clone()
            kept.requires_grad_(kept.is_floating_point())
        self.kept[name] = kept
        return kept.clone()


def _with_first_tensor(answer: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """A layer's answer with its first tensor changed; None, which a hook takes for "as it is", without one."""
    if isinstance(answer, torch.Tensor):
        return change(answer)
    if isinstance(answer, Mapping):
        for key, part in answer.items():
            changed = _with_first_tensor(part, change)
            if changed is not None:
                answer = copy.copy(answer)
                answer[key] = changed
                return answer
    elif isinstance(answer, (tuple, list)):
        for i, part in enumerate(answer):
            changed = _with_first_tensor(part, change)
            if changed is not None:
                parts = [*answer[:i], changed, *answer[i + 1 :]]
                return type(answer)(*parts) if hasattr(answer, "_fields") else type(answer)(parts)
    return None

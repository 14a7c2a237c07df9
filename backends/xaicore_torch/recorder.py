"""Hooks for one pass: they keep the wanted layers' outputs and start recording at the first of them."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

__all__ = ["Recorder"]


class Recorder:
    """Keeps what to differentiate by; only what follows the first wanted layer is recorded.

    The pass runs under no_grad. A wanted layer's hook cuts its output off as a leaf, switches grad on and lets
    the model go on with a copy: an in-place operation that follows would overwrite the activations. Behind
    another wanted layer nothing is cut, else the first would lose its gradient.

    A layer that runs several times counts by its last run. `runs` says how often each is expected to; earlier
    runs are not recorded, since that would hold everything between them.
    """

    def __init__(self, modules: Mapping[str, nn.Module], runs: Mapping[str, int]) -> None:
        self.kept: dict[str, torch.Tensor] = {}
        self.counts: dict[str, int] = {}
        self._modules = modules
        self._runs = runs
        self._thread = threading.get_ident()
        self._handles: list[Any] = []

    @property
    def expected_more(self) -> bool:
        """Whether a layer ran, but less often than expected, so that its last run went by unrecorded."""
        return any(count < self._runs.get(name, 1) for name, count in self.counts.items())

    def __enter__(self) -> Recorder:
        for name, module in self._modules.items():
            self._handles.append(module.register_forward_hook(self._hook(name)))
        return self

    def __exit__(self, *exc_info: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _hook(self, name: str) -> Callable[[nn.Module, Any, Any], Any]:
        def hook(module: nn.Module, args: Any, answer: Any) -> Any:
            if threading.get_ident() != self._thread:  # the caller's own use of the model
                return None
            self.counts[name] = self.counts.get(name, 0) + 1
            if self.counts[name] < self._runs.get(name, 1):
                return None
            return _with_first_tensor(answer, lambda tensor: self._keep(name, tensor))

        return hook

    def _keep(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        torch.set_grad_enabled(True)
        behind_another = bool(self.kept.keys() - {name}) and tensor.requires_grad
        kept = tensor if behind_another else tensor.detach()
        if not behind_another and kept.is_floating_point():
            kept.requires_grad_()
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

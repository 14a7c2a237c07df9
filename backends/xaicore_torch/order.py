"""The order in which a model's modules run."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from xaicore import LayerError
from xaicore.layers import never_ran
from xaicore_torch.outputs import first_tensor

__all__ = ["CallOrder"]


class CallOrder:
    """Records which modules start and end during one pass: `with order.hooks(model): model(x)`.

    Attributes:
        runs: {module: how often it ran}.
    """

    def __init__(self) -> None:
        self.runs: Counter[nn.Module] = Counter()
        self._started: list[nn.Module] = []
        self._ended: dict[nn.Module, int] = {}  # how many had started when the module last ended
        self._tensors: dict[nn.Module, torch.Tensor | None] = {}

    @contextlib.contextmanager
    def hooks(self, model: nn.Module) -> Iterator[None]:
        """Hook every module. Passes of other threads are not recorded."""
        thread = threading.get_ident()

        def start(module: nn.Module, args: Any) -> None:
            if threading.get_ident() == thread:
                self._started.append(module)

        def end(module: nn.Module, args: Any, output: Any) -> None:
            if threading.get_ident() == thread:
                self.runs[module] += 1
                self._ended[module] = len(self._started)
                self._tensors[module] = first_tensor(output)

        with contextlib.ExitStack() as stack:
            for module in model.modules():
                if not isinstance(module, torch.jit.ScriptModule):  # which has no hooks
                    stack.callback(module.register_forward_pre_hook(start).remove)
                    stack.callback(module.register_forward_hook(end).remove)
            yield

    def output_of(self, module: nn.Module, name: str) -> torch.Tensor:
        """The first tensor of the module's last output.

        Raises:
            LayerError: the module never ran, or its output has no tensor; `name` is for the message.
        """
        if module not in self._ended:
            raise never_ran(name)
        tensor = self._tensors[module]
        if tensor is None:
            raise LayerError(f"layer {name!r} gave no tensor")
        return tensor

    def only_after(self, module: nn.Module) -> list[nn.Module]:
        """Modules with weights that start only after this module's last run, and whose submodules do so, too.

        A module that never ran is not among them: it may run in training (an auxiliary head), or serve the layer with
        its weights alone. Nor is one without weights: it costs nothing, and may serve such a head.
        """
        last = self._ended[module]
        before, after = set(self._started[:last]), dict.fromkeys(self._started[last:])
        return [late for late in after if _has_weights(late) and before.isdisjoint(late.modules())]


def _has_weights(module: nn.Module) -> bool:
    return next(itertools.chain(module.parameters(), module.buffers()), None) is not None

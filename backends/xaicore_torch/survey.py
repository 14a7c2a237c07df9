"""A first look at a model: one pass over one image tells its layers, how often each runs, and its link."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import nn

from xaicore import Layer
from xaicore_torch.layout import channels_last, is_pooling
from xaicore_torch.outputs import first_tensor

__all__ = ["Survey"]


@dataclass
class Survey:
    """Forward hooks on every module, the root left out: `with Survey(model, ...) as survey: model(x)`.

    Attributes:
        runs: {layer: how often it ran}.
    """

    model: nn.Module
    count: int
    size: tuple[int, ...]
    runs: dict[str, int] = field(default_factory=dict)
    _found: dict[str, tuple[Layer, Output]] = field(default_factory=dict)
    _pooled: list[Output] = field(default_factory=list)
    _handles: list[Any] = field(default_factory=list)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in order of completion."""
        return tuple(layer for layer, _ in self._found.values())

    def __enter__(self) -> Survey:
        for name, module in self.model.named_modules():
            if name:
                self._handles.append(module.register_forward_hook(self._hook(name)))
        return self

    def __exit__(self, *exc_info: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _hook(self, name: str) -> Any:
        def hook(module: nn.Module, args: Any, answer: Any) -> None:
            tensor = first_tensor(answer)
            if tensor is None:
                return
            self.runs[name] = self.runs.get(name, 0) + 1
            output = Output(tensor)
            if is_pooling(module):
                self._pooled.append(output)
            self._found.pop(name, None)  # the last run counts
            if next(module.children(), None) is not None:
                self._forget_inner(name, output)
            self._found[name] = (self._describe(name, module, output), output)

        return hook

    def _forget_inner(self, name: str, output: Output) -> None:
        """A shared output has its outermost name."""
        inner = [known for known in self._found if known.startswith(f"{name}.")]
        for known in inner:
            if self._found[known][1].is_same(output):
                del self._found[known]

    def _describe(self, name: str, module: nn.Module, output: Output) -> Layer:
        tensor = output.tensor
        shape = tuple(tensor.shape)
        if channels_last(module, tensor):
            shape = (shape[0], shape[-1], *shape[1:-1])
        spatial = (
            len(shape) == len(self.size) + 2 > 2
            and shape[0] == self.count
            and tensor.is_floating_point()
            and prod(shape[2:]) > 1
            and not _is_attention(tensor)
        )
        pooled = any(output.is_same(known) for known in self._pooled)
        return Layer(name, type(module).__name__, shape, spatial, pooled)


class Output:
    """A tensor at one moment: an in-place operation makes another output of the same tensor."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor
        self.version = 0 if tensor.is_inference() else tensor._version

    def is_same(self, other: Output) -> bool:
        """Whether both are the same values in the same tensor."""
        return self.tensor is other.tensor and self.version == other.version


def _is_attention(tensor: torch.Tensor) -> bool:
    """Attention weights (N, heads, T, T): every row is a distribution over the tokens."""
    if tensor.ndim != 4 or tensor.shape[-1] != tensor.shape[-2]:
        return False
    sums = tensor.detach().sum(dim=-1, dtype=torch.float32)
    return bool((tensor >= 0).all()) and bool(((sums - 1).abs() < 2e-2).all())

"""A first look at a model: one pass over one image tells its layers, their layout, and how often each runs."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import nn

from xaicore import Layer
from xaicore_torch.hooks import Hooks
from xaicore_torch.layout import is_pooling, on_last_axis
from xaicore_torch.outputs import first_tensor, tensors_in
from xaicore_torch.private import writes

__all__ = ["Survey"]


class Survey:
    """Looks at every module but the root while one pass runs: `with survey.hooks: model(x)`.

    Attributes:
        hooks: for the pass.
        runs: {layer: how often it ran}.
        channels_last: the layers whose outputs are (N, *S, C), as inside Swin and ConvNeXt.
    """

    def __init__(self, model: nn.Module, count: int, size: tuple[int, ...]) -> None:
        modules = {
            name: module
            for name, module in model.named_modules()
            if name and not isinstance(module, torch.jit.ScriptModule)
        }
        self.hooks = Hooks(modules, self._see)
        self.runs: dict[str, int] = {}
        self.channels_last: set[str] = set()
        self._count, self._size = count, size
        self._found: dict[str, tuple[Layer, Output]] = {}
        self._pooled: list[Output] = []
        self._outputs: dict[str, Output] = {}

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in order of completion."""
        return tuple(layer for layer, _ in self._found.values())

    def _see(self, name: str, module: nn.Module, args: tuple[Any, ...], answer: Any) -> None:
        tensor = first_tensor(answer)
        if tensor is None:
            return
        self.runs[name] = self.runs.get(name, 0) + 1
        output = Output(tensor)
        if is_pooling(module):
            self._pooled.append(output)
        if self._has_channels_last(name, module, args, output):
            self.channels_last.add(name)
        else:
            self.channels_last.discard(name)
        for seen in (self._found, self._outputs):
            seen.pop(name, None)  # the last run counts
        self._outputs[name] = output
        same = [] if next(module.children(), None) is None else self._inner(name, output)
        if same and sum(1 for _ in tensors_in(answer)) > 1:
            return  # what follows may read another of its tensors instead, such as a pooled one
        for known in same:  # a shared output has its outermost name
            del self._found[known]
        self._found[name] = (self._describe(name, module, output), output)

    def _has_channels_last(self, name: str, module: nn.Module, args: tuple[Any, ...], output: Output) -> bool:
        """Made by a layer that works on the last axis, or passed on by what keeps such an output's shape.

        A block is laid out like the last map inside of it; a layer without parameters (an activation, dropout)
        like its input.
        """
        if output.tensor.ndim < 4 or on_last_axis(module):
            return output.tensor.ndim >= 4
        inner = [known for known in self._outputs if known.startswith(f"{name}.")]
        maps = [known for known in inner if self._outputs[known].tensor.ndim == output.tensor.ndim]
        if maps:
            source = maps[-1]
        elif inner or next(module.parameters(), None) is not None or not args:
            return False
        else:
            given = [known for known, seen in self._outputs.items() if seen.tensor is args[0]]
            if not given:
                return False
            source = given[-1]
        return source in self.channels_last and self._outputs[source].tensor.shape == output.tensor.shape

    def _inner(self, name: str, output: Output) -> list[str]:
        """The layers inside of this one whose output it passes on."""
        inner = [known for known in self._found if known.startswith(f"{name}.")]
        return [known for known in inner if self._found[known][1].is_same(output)]

    def _describe(self, name: str, module: nn.Module, output: Output) -> Layer:
        tensor = output.tensor
        shape = tuple(tensor.shape)
        if name in self.channels_last:
            shape = (shape[0], shape[-1], *shape[1:-1])
        spatial = (
            len(shape) == len(self._size) + 2 > 2
            and shape[0] == self._count
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
        self.version = writes(tensor)

    def is_same(self, other: Output) -> bool:
        """Whether both are the same values in the same tensor."""
        return self.tensor is other.tensor and self.version == other.version


def _is_attention(tensor: torch.Tensor) -> bool:
    """Attention weights (N, heads, T, T): every row is a distribution over the tokens."""
    if tensor.ndim != 4 or tensor.shape[-1] != tensor.shape[-2]:
        return False
    sums = tensor.detach().sum(dim=-1, dtype=torch.float32)
    return bool((tensor >= 0).all()) and bool(((sums - 1).abs() < 2e-2).all())

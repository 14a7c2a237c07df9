"""One pass over one image that shows a model's layers, their layout, and how often each runs."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

from xaicore import Layer
from xaicore.layers import is_pooling
from xaicore_torch.hooks import Hooks
from xaicore_torch.layout import is_channels_last
from xaicore_torch.outputs import first_tensor, tensors_in
from xaicore_torch.private import writes

__all__ = ["Survey"]


class Survey:
    """Hooks every layer while one pass runs: `with survey.hooks: model(x)`.

    The root is no layer; nor is TorchScript, which has no hooks, nor what computes a parametrized weight.

    Args:
        model: the model of the pass.
        count, size: the number of images and the spatial shape of the pass's inputs.

    Attributes:
        hooks: for the pass.
        runs: {layer: how often it ran}.
        channels_last: the layers whose outputs are (N, *S, C), as inside Swin and ConvNeXt.
    """

    def __init__(self, model: nn.Module, count: int, size: tuple[int, ...]) -> None:
        self.hooks = Hooks(_layers(model), self._on_output)
        self.runs: dict[str, int] = {}
        self.channels_last: set[str] = set()
        self._count, self._size = count, size
        self._layers: dict[str, tuple[Layer, Snapshot]] = {}
        self._outputs: dict[str, Snapshot] = {}
        self._pooled: list[Snapshot] = []

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in order of completion."""
        return tuple(layer for layer, _ in self._layers.values())

    def _on_output(self, name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        tensor = first_tensor(output)
        if tensor is None:
            return
        self.runs[name] = self.runs.get(name, 0) + 1
        snapshot = Snapshot(tensor)
        if is_pooling(type(module)):
            self._pooled.append(snapshot)
        if self._has_channels_last(name, module, args, snapshot):
            self.channels_last.add(name)
        else:
            self.channels_last.discard(name)
        self._layers.pop(name, None)  # the last run counts
        self._outputs.pop(name, None)
        self._outputs[name] = snapshot
        same = [] if next(module.children(), None) is None else self._inner_with_same_output(name, snapshot)
        if same and sum(1 for _ in tensors_in(output)) > 1:
            return  # what follows may read another of its tensors, such as a pooled one
        for inner in same:  # a shared output has its outermost name
            del self._layers[inner]
        self._layers[name] = (self._describe(name, module, snapshot), snapshot)

    def _has_channels_last(self, name: str, module: nn.Module, args: tuple[Any, ...], output: Snapshot) -> bool:
        """Whether a module that works on the last axis made the output, or one that keeps such an output's shape.

        A block is laid out like the last map inside of it; a layer without parameters (an activation, dropout)
        like its input.
        """
        if output.tensor.ndim < 4 or is_channels_last(module):
            return output.tensor.ndim >= 4
        inner = self._inside(name, self._outputs)
        maps = [layer for layer in inner if self._outputs[layer].tensor.ndim == output.tensor.ndim]
        if maps:
            source = maps[-1]
        elif inner or next(module.parameters(), None) is not None or not args:
            return False
        else:
            producers = [layer for layer, snapshot in self._outputs.items() if snapshot.tensor is args[0]]
            if not producers:
                return False
            source = producers[-1]
        return source in self.channels_last and self._outputs[source].tensor.shape == output.tensor.shape

    def _inner_with_same_output(self, name: str, output: Snapshot) -> list[str]:
        """The layers inside of this one whose output it passes on."""
        return [inner for inner in self._inside(name, self._layers) if self._layers[inner][1].is_same(output)]

    @staticmethod
    def _inside(name: str, layers: dict[str, Any]) -> list[str]:
        return [layer for layer in layers if layer.startswith(f"{name}.")]

    def _describe(self, name: str, module: nn.Module, output: Snapshot) -> Layer:
        tensor = output.tensor
        shape = tuple(tensor.shape)
        if name in self.channels_last:
            shape = (shape[0], shape[-1], *shape[1:-1])
        is_spatial = (
            len(shape) == len(self._size) + 2 > 2
            and shape[0] == self._count
            and tensor.is_floating_point()
            and prod(shape[2:]) > 1
            and not _is_attention(tensor)
        )
        is_pooled = any(output.is_same(pooled) for pooled in self._pooled)
        return Layer(name, type(module).__name__, shape, is_spatial, is_pooled)


class Snapshot:
    """A tensor at one moment: an in-place operation makes another snapshot of the same tensor."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor
        self.writes = writes(tensor)

    def is_same(self, other: Snapshot) -> bool:
        """Whether both are the same values in the same tensor."""
        return self.tensor is other.tensor and self.writes == other.writes


def _layers(model: nn.Module) -> dict[str, nn.Module]:
    """{name: module} of what a survey hooks."""
    modules = dict(model.named_modules())
    computing = tuple(f"{name}." for name, module in modules.items() if isinstance(module, ParametrizationList))
    return {
        name: module
        for name, module in modules.items()
        if name and not isinstance(module, torch.jit.ScriptModule) and not f"{name}.".startswith(computing)
    }


def _is_attention(tensor: torch.Tensor) -> bool:
    """Whether these are attention weights (N, heads, T, T): every row is a distribution over the tokens."""
    if tensor.ndim != 4 or tensor.shape[-1] != tensor.shape[-2]:
        return False
    sums = tensor.detach().sum(dim=-1, dtype=torch.float32)
    return bool((tensor >= 0).all()) and bool(((sums - 1).abs() < 2e-2).all())

"""A first look at a model: one run of one image tells its layers, their layout, and where its logits are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import keras

from xaicore import Layer
from xaicore_keras.head import Head, find_head
from xaicore_keras.hooks import Hook
from xaicore_keras.layout import channel_axes, default_axis, is_pooling, stated_axis
from xaicore_keras.paths import is_attention, loop_around, walk

__all__ = ["Call", "Place", "Plan", "Survey", "first_tensor", "replace_first_tensor", "tensors_in"]


@dataclass
class Call:
    """One call of a layer: the tensors that it took, the first that it gave, and the channel axis of that."""

    path: str
    layer: Any
    inputs: list[Any]
    output: Any
    axis: int = 1

    @property
    def input(self) -> Any:
        """The first tensor that it took."""
        return self.inputs[0] if self.inputs else None


@dataclass(frozen=True)
class Place:
    """Where a layer's output is found: its channel axis, the number of its calls in a run, its type and shape."""

    axis: int
    calls: int
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """What is known of a model for inputs of one form. Holds names and shapes, no tensors and no layers.

    Attributes:
        layers: in order of completion, for the contract.
        places: of every layer that gave a tensor, also of those that are listed under an outer name.
        kind, link, head: of the outputs, once the head's link is taken off. Without a head, a link says what
            the outputs have been through.
        output_axis: the outputs' class axis in the model's own layout.
        output_dtype: of the outputs.
        input_axis: the picture's channel axis.
        is_opaque: what made the outputs cannot be looked into.
    """

    layers: tuple[Layer, ...]
    places: Mapping[str, Place]
    kind: str
    link: str | None
    head: Head | None
    output_axis: int
    output_dtype: str
    input_axis: int
    is_opaque: bool


class Survey:
    """Looks at every layer's calls while one run lasts: `run(model, survey.hooks())`, then `survey.plan(...)`."""

    def __init__(self, model: Any) -> None:
        paths = walk(model)
        self._paths = {path: layer for path, layer in paths.items() if loop_around(path, paths) is None}
        self._calls: list[Call] = []

    def hooks(self) -> list[tuple[Any, Hook]]:
        """Hooks for a run; what an earlier, failed run saw is forgotten."""
        self._calls.clear()
        return [(layer, self._watch(path, layer)) for path, layer in self._paths.items()]

    @property
    def outputs(self) -> list[Any]:
        """Every output that was seen."""
        return [call.output for call in self._calls]

    def plan(self, picture: Any, y: Any, last_link: str | None, is_hidden: Callable[[Any, Any], bool]) -> Plan:
        """What the run showed, for a picture (the input with the most axes) and the chosen output y.

        `last_link` is the link of the last operation, which counts where no layer made the outputs; over which
        axis a softmax went is not known. Outputs that are hidden from y lie in loops or compiled functions and count
        for nothing.
        """
        self._calls = [call for call in self._calls if not is_hidden(y, call.output)]
        axes = channel_axes((call.layer, call.inputs, call.output) for call in self._calls)
        for call, axis in zip(self._calls, axes, strict=True):
            call.axis = axis
        input_axis = self._input_axis(picture)
        kind, link, head = find_head(self._calls, y)
        if kind is None:
            link = None if last_link == "softmax" and len(y.shape) > 2 else last_link
        return Plan(
            layers=self._listing(picture, input_axis),
            places=self._places(),
            kind=kind or ("probabilities" if link else "logits"),
            link=link,
            head=head,
            output_axis=next((call.axis for call in self._calls if call.output is y), default_axis(len(y.shape))),
            output_dtype=keras.backend.standardize_dtype(y.dtype),
            input_axis=input_axis,
            is_opaque=kind is None,
        )

    def _watch(self, path: str, layer: Any) -> Hook:
        def hook(args: tuple[Any, ...], kwargs: dict[str, Any], answer: Any) -> Any:
            output = first_tensor(answer)
            if output is not None:
                self._calls.append(Call(path, layer, tensors_in((args, kwargs)), output))
            return answer

        return hook

    def _input_axis(self, picture: Any) -> int:
        """As the layer says that takes the picture, or turns it, else the first that takes anything of its rank."""
        rank = len(picture.shape)
        takers = [call for call in self._calls if call.input is picture]
        turned = (call.layer.dims[call.axis - 1] for call in takers if isinstance(call.layer, keras.layers.Permute))
        like = [c for c in self._calls if c.input is not None and len(c.input.shape) == rank]
        stated = (stated_axis(call.layer, rank) for call in (*takers, *like))
        return next(turned, None) or next(filter(None, stated), None) or default_axis(rank)

    def _places(self) -> dict[str, Place]:
        places: dict[str, Place] = {}
        for call in self._calls:
            calls = places[call.path].calls + 1 if call.path in places else 1
            places[call.path] = Place(
                call.axis, calls, keras.backend.standardize_dtype(call.output.dtype), _shape(call)
            )
        return places

    def _listing(self, picture: Any, input_axis: int) -> tuple[Layer, ...]:
        """The last run of each layer; what a layer hands on from inside of it has the outer name."""
        last: dict[str, Call] = {}
        for call in self._calls:
            last.pop(call.path, None)
            for inner in [path for path in last if path.startswith(f"{call.path}/")]:
                if last[inner].output is call.output:
                    del last[inner]
            last[call.path] = call
        pooled = [call.output for call in self._calls if is_pooling(call.layer)]
        size = _spatial(picture.shape, input_axis)
        return tuple(
            self._describe(call, len(picture.shape), int(picture.shape[0]), size, pooled) for call in last.values()
        )

    def _describe(self, call: Call, rank: int, count: int, size: tuple[int, ...], pooled: Sequence[Any]) -> Layer:
        shape = _shape(call)
        spatial = (
            len(shape) == rank > 2
            and shape[0] == count
            and prod(shape[2:]) > 1
            and keras.backend.is_float_dtype(keras.backend.standardize_dtype(call.output.dtype))
            and not is_attention(call.path, self._paths)
            and not _is_attention_weights(call)
        )
        return Layer(call.path, type(call.layer).__name__, shape, spatial, any(call.output is out for out in pooled))


def tensors_in(value: Any) -> list[Any]:
    """The tensors in a layer's arguments or answer, however deep."""
    return [part for part in keras.tree.flatten(value) if keras.ops.is_tensor(part)]


def first_tensor(value: Any) -> Any:
    """The first of them; None without one."""
    return next(iter(tensors_in(value)), None)


def replace_first_tensor(answer: Any, change: Callable[[Any], Any]) -> Any:
    """A layer's answer with its first tensor changed, wherever that stands in it."""
    tensor = first_tensor(answer)
    if tensor is None:
        return answer
    new = change(tensor)
    return keras.tree.map_structure(lambda part: new if part is tensor else part, answer)


def _shape(call: Call) -> tuple[int, ...]:
    """(N, C, *spatial); -1 for a length that only a run with values would tell."""
    raw = tuple(int(length) if isinstance(length, int) else -1 for length in call.output.shape)
    return (*raw[:1], *raw[call.axis : call.axis + 1], *_spatial(raw, call.axis))


def _spatial(shape: Sequence[Any], axis: int) -> tuple[int, ...]:
    return tuple(int(length) for i, length in enumerate(shape) if i not in (0, axis))


def _is_attention_weights(call: Call) -> bool:
    """A softmax over tokens, (N, heads, T, T), that a custom attention makes."""
    shape = call.output.shape
    return (
        isinstance(call.layer, keras.layers.Softmax)
        and len(shape) == 4
        and shape[-1] == shape[-2]
        and shape[1] != shape[2]
    )

"""What one pass over one image tells of a model: the facts of its layers, and where its logits are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from xaicore.facts import Facts
from xaicore.layers import read
from xaicore.outputs import Output
from xaicore_keras.answers import Answer
from xaicore_keras.calls import Call, first_tensor, replace_first_tensor, shape_of, tensors_in
from xaicore_keras.classes import find_class_axis
from xaicore_keras.facts import assign_axes, facts_of
from xaicore_keras.head import Head, find_head
from xaicore_keras.hooks import Hook
from xaicore_keras.paths import loop_around, walk
from xaicore_keras.seen import Seen

__all__ = ["CallRecorder", "LayerSpec", "Survey"]


class CallRecorder:
    """Records the calls of every layer during one pass: `run_model(..., hooks=recorder.hooks())`.

    Attributes:
        layers: {path: layer} of those that run at most once per call of the layer around them.
        called: the paths of those that were called.
        calls: those that gave a tensor, in order of completion.
        change: `change(number, tensor)` is what the model goes on with after a call; numbers count the calls.
    """

    def __init__(self, model: Any) -> None:
        layers = walk(model)
        self.layers = {path: layer for path, layer in layers.items() if loop_around(path, layers) is None}
        self.called: set[str] = set()
        self.calls: list[Call] = []
        self.change: Callable[[int, Any], Any] | None = None

    def hooks(self) -> list[tuple[Any, Hook]]:
        """Hooks for a pass; what an earlier pass recorded is forgotten."""
        self.called.clear()
        self.calls.clear()
        return [(layer, self._hook(path, layer)) for path, layer in self.layers.items()]

    def _hook(self, path: str, layer: Any) -> Hook:
        def hook(args: tuple[Any, ...], kwargs: dict[str, Any], answer: Any) -> Any:
            self.called.add(path)
            output = first_tensor(answer)
            if output is None:
                return answer
            number = len(self.calls)
            self.calls.append(Call(path, layer, tensors_in((args, kwargs)), output, len(tensors_in(answer))))
            change = self.change
            return answer if change is None else replace_first_tensor(answer, lambda tensor: change(number, tensor))

        return hook


@dataclass(frozen=True)
class LayerSpec:
    """A layer's output, as its last call in a pass gave it: its shape and type, and the number of calls."""

    calls: int
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Survey:
    """What is known of a model for inputs of one form. Holds names and shapes, no tensors and no layers.

    Attributes:
        facts: as `Backend.observe` returns them, without what the model was compiled with.
        specs: of every layer that gave a tensor, by path.
        called: the paths of all layers that were called, also of those inside loops and compiled functions.
        kind, link, head: of the outputs, once the head's link is taken off. Without a head, the link is one that
            the outputs have been through already.
        output_axis: the class axis of the outputs as a `Program` gives them; 1 where nothing says which one it is.
        output_dtype: the type of the outputs.
        types: {name or position: type} of all outputs of the model.
        input_size: the positions of the picture.
        is_opaque: the outputs were made by something that does not show what it computes.
    """

    facts: Facts
    specs: Mapping[str, LayerSpec]
    called: frozenset[str]
    kind: str
    link: str | None
    head: Head | None
    output_axis: int
    output_dtype: str
    types: Mapping[int | str, str]
    input_size: tuple[int, ...]
    is_opaque: bool

    @classmethod
    def of(
        cls,
        recorder: CallRecorder,
        inputs: Sequence[Any],
        count: int,
        seen: Seen,
        answer: Answer,
        output: Output,
        hides: Callable[[Any, Any], bool],
        channels_last: bool,
    ) -> Survey:
        """The survey of a recorded pass.

        Args:
            recorder: that recorded it.
            inputs: the tensors that the model took.
            count: images in that pass.
            seen: what the engine saw.
            answer: what the model returned.
            output: which part of it is explained.
            hides: `hides(y, tensor)`: whether a tensor is out of reach from y, so that its call does not count.
            channels_last: how models of this configuration take pictures.
        """
        y, rank, order = seen.output, len(seen.output.shape), output.order
        known = [(call, flow) for call, flow in zip(recorder.calls, seen.flows, strict=True)]
        known = [(call, flow) for call, flow in known if not hides(y, call.output)]
        calls = [call for call, _ in known]
        facts = facts_of(calls, inputs, [flow for _, flow in known], count)
        assign_axes(calls, facts)
        ends = [call for call in calls if call.output is y]
        shown = find_class_axis(calls, y)
        class_axis = shown if order is None else order[min(1, rank - 1)]
        if class_axis is not None:
            for call in ends:
                call.axis = class_axis
        kind, link, head = ("values", None, None) if output.is_score else find_head(calls, y)
        if kind is None:  # over which axis the last operation takes a softmax is unknown
            link = None if seen.link == "softmax" and rank > 2 else seen.link
        reading = read(facts, channels_last)
        picture = max(map(shape_of, inputs), key=len)
        size = reading.frames[reading.main_pictures[0]].size if reading.frames else picture[1:]
        return cls(
            facts=replace(_with_outputs(facts, answer, output, shown), link=link, class_axis=class_axis),
            specs=_specs(calls),
            called=frozenset(recorder.called),
            kind=kind or ("probabilities" if link else "logits"),
            link=link,
            head=head,
            output_axis=class_axis if order is None and class_axis is not None else 1,
            output_dtype=keras.backend.standardize_dtype(y.dtype),
            types={name: keras.backend.standardize_dtype(one.dtype) for name, one in answer.outputs.items()},
            input_size=size,
            is_opaque=kind is None,
        )


def _specs(calls: Sequence[Call]) -> dict[str, LayerSpec]:
    specs: dict[str, LayerSpec] = {}
    for call in calls:
        number = specs[call.path].calls + 1 if call.path in specs else 1
        specs[call.path] = LayerSpec(number, call.dtype, call.shape)
    return specs


def _with_outputs(facts: Facts, answer: Answer, output: Output, shown: int | None) -> Facts:
    """The facts, with what the model returned, and the class axis that its layers show beside the caller's."""
    is_stated = output.axes is not None and output.axes[0] == "n" and "c" in output.axes
    return replace(
        facts,
        output=answer.name,
        outputs={name: shape_of(tensor) for name, tensor in answer.outputs.items()},
        shown_class_axis=shown if is_stated else None,
    )

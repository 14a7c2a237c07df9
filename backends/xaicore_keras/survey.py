"""What one pass over one image shows of a model: its layers, their layout, and where its logits are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from xaicore import Layer
from xaicore_keras.calls import Call, first_tensor, tensors_in
from xaicore_keras.head import Head, find_head
from xaicore_keras.hooks import Hook
from xaicore_keras.layout import assign_channel_axes, default_axis, picture_axis
from xaicore_keras.listing import LayerSpec, layer_specs, list_layers
from xaicore_keras.paths import loop_around, walk

__all__ = ["CallRecorder", "Survey"]


class CallRecorder:
    """Records the calls of every layer during one pass: `run_model(..., hooks=recorder.hooks())`.

    Attributes:
        layers: {path: layer} of those that run at most once per call of the layer around them.
        called: the paths of those that were called.
        calls: those that gave a tensor, in order of completion.
    """

    def __init__(self, model: Any) -> None:
        layers = walk(model)
        self.layers = {path: layer for path, layer in layers.items() if loop_around(path, layers) is None}
        self.called: set[str] = set()
        self.calls: list[Call] = []

    def hooks(self) -> list[tuple[Any, Hook]]:
        """Hooks for a pass; what an earlier pass recorded is forgotten."""
        self.called.clear()
        self.calls.clear()
        return [(layer, self._hook(path, layer)) for path, layer in self.layers.items()]

    def _hook(self, path: str, layer: Any) -> Hook:
        def hook(args: tuple[Any, ...], kwargs: dict[str, Any], answer: Any) -> Any:
            self.called.add(path)
            output = first_tensor(answer)
            if output is not None:
                self.calls.append(Call(path, layer, tensors_in((args, kwargs)), output))
            return answer

        return hook


@dataclass(frozen=True)
class Survey:
    """What is known of a model for inputs of one form. Holds names and shapes, no tensors and no layers.

    Attributes:
        layers: in order of completion, as `Backend.layers` returns them.
        specs: of every layer that gave a tensor, by path.
        called: the paths of all layers that were called, also of those inside loops and compiled functions.
        kind, link, head: of the outputs, once the head's link is taken off. Without a head, the link is one that
            the outputs have been through already.
        output_axis: the class axis of the outputs in the model's own layout.
        output_dtype: the type of the outputs.
        input_axis: the channel axis of the picture.
        is_opaque: the outputs were made by something that does not show what it computes.
    """

    layers: tuple[Layer, ...]
    specs: Mapping[str, LayerSpec]
    called: frozenset[str]
    kind: str
    link: str | None
    head: Head | None
    output_axis: int
    output_dtype: str
    input_axis: int
    is_opaque: bool

    @classmethod
    def of(
        cls, recorder: CallRecorder, picture: Any, y: Any, last_link: str | None, hides: Callable[[Any, Any], bool]
    ) -> Survey:
        """The survey of a recorded pass.

        Args:
            recorder: that recorded it.
            picture: the input with the most axes.
            y: the chosen output.
            last_link: the link that the last operation of the framework computes; used where no layer made y.
            hides: `hides(y, tensor)`: whether a tensor is out of reach from y, so that its call does not count.
        """
        calls = [call for call in recorder.calls if not hides(y, call.output)]
        assign_channel_axes(calls)
        kind, link, head = find_head(calls, y)
        if kind is None:  # over which axis the last operation takes a softmax is unknown
            link = None if last_link == "softmax" and len(y.shape) > 2 else last_link
        return cls(
            layers=list_layers(calls, picture, recorder.layers),
            specs=layer_specs(calls),
            called=frozenset(recorder.called),
            kind=kind or ("probabilities" if link else "logits"),
            link=link,
            head=head,
            output_axis=next((call.axis for call in calls if call.output is y), default_axis(len(y.shape))),
            output_dtype=keras.backend.standardize_dtype(y.dtype),
            input_axis=picture_axis(calls, picture),
            is_opaque=kind is None,
        )

"""The backend: the two required methods, and the optional ones for CAM and for single pictures.

It hides what is particular to tinyconv: maps have the channels last, and `backward` takes one direction at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tinyconv import Net

from xaicore import Backend, Capture, Direction, InputError, Layer, MethodError, check_direction, unknown_layer
from xaicore.recording import Arguments

__all__ = ["TinyconvBackend"]

TYPES = {"conv": "Conv", "relu": "ReLU", "pool": "GlobalAveragePool", "dense": "Dense"}


class TinyconvBackend(Backend):
    """Explains one `tinyconv.Net`.

    A net stores nothing during a pass, so there is nothing to restore. A backend of a framework with hooks, training
    modes or stored gradients restores them in a `finally`.
    """

    channels_last = True  # of pictures: methods that change them, such as Score-CAM, read it

    def __init__(self, net: Net) -> None:
        self.net = net

    def layers(self, inputs: Any) -> list[Layer]:
        """All layers, in the order of computation; the shapes are those for the first picture."""
        layers = []
        for name, value in self.net.forward(self._pictures(inputs)[:1]).items():
            shape = channels_first(value).shape
            spatial = len(shape) == 4 and shape[2] * shape[3] > 1
            layers.append(Layer(name, TYPES[name.rstrip("12")], shape, spatial, pooled=name == "pool"))
        return layers

    def capture(self, inputs: Any, layers: Sequence[str], direction: Direction | None = None) -> Capture:
        """One forward pass, and one backward pass for each of the K directions."""
        x = self._pictures(inputs)
        values = self.net.forward(x)
        for name in layers:
            if name not in values:
                raise unknown_layer(name, list(values), type(self.net).__name__)
        outputs = values["dense"].astype(np.float32)
        gradients = {}
        if direction is not None:
            # Once, between the forward and the backward passes: (N, K, classes).
            d_outputs = check_direction(direction(outputs, "logits"), outputs)
            passes = [self.net.backward(values, d_outputs[:, k]) for k in range(d_outputs.shape[1])]
            gradients = {name: np.stack([channels_first(d[name]) for d in passes], axis=1) for name in layers}
        return Capture(
            outputs=outputs,
            outputs_kind="logits",
            activations={name: channels_first(values[name]) for name in layers},
            gradients=gradients,
            input_size=x.shape[1:3],
        )

    def classifier_weights(self, inputs: Any, layer: str) -> np.ndarray:
        """The dense layer's weights (classes, C), for the layer that global average pooling reads."""
        if layer != "relu2":
            raise MethodError(f"cam explains the layer that is pooled, 'relu2', not {layer!r}; or use 'gradcam'")
        return self.net.dense.T.astype(np.float32)

    def with_batch_axis(self, inputs: Any) -> np.ndarray:
        """A single picture (H, W, channels) as a batch of one."""
        x = np.asarray(inputs)
        return x[None] if x.ndim == 3 else x

    def _pictures(self, inputs: Any) -> np.ndarray:
        """The pictures (N, H, W, channels) in `inputs`: an array, `(x,)` or `{"x": x}`."""
        x = self.with_batch_axis(Arguments.of(inputs).named(["x"])["x"])
        channels = self.net.conv1.shape[2]
        if x.ndim != 4 or x.shape[-1] != channels or not len(x) or x.dtype.kind not in "fiu":
            raise InputError(
                f"inputs of shape {x.shape} and type {x.dtype}: expected numbers (N, height, width, {channels})"
            )
        return x


def channels_first(value: np.ndarray) -> np.ndarray:
    """(N, H, W, C) to (N, C, H, W), as float32; (N, C) stays (N, C)."""
    return np.ascontiguousarray(np.moveaxis(value, -1, 1), np.float32)

"""The backend: two methods that xaicore needs, and one power that it can use.

What is particular to tinyconv, and has to be hidden here: its maps have the channels last, and its `backward`
takes one direction at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
from tinyconv import Net

from xaicore import Backend, Capture, Direction, InputError, Layer, LayerError, MethodError

__all__ = ["TinyconvBackend"]

TYPES = {"conv": "Conv", "relu": "ReLU", "pool": "GlobalAveragePool", "dense": "Dense"}


class TinyconvBackend(Backend):
    """Explains one `tinyconv.Net`.

    A net keeps nothing of a pass, so there is nothing to put back afterwards. A framework with hooks, modes or
    stored gradients restores them in a `finally`.
    """

    def __init__(self, net: Net) -> None:
        self.net = net

    def layers(self, inputs: Any) -> list[Layer]:
        """Every layer, in the order in which they are computed; the first picture shows the shapes."""
        values = self.net.forward(self._pictures(inputs)[:1])
        found = []
        for name, value in values.items():
            shape = channels_first(value).shape
            spatial = len(shape) == 4 and shape[2] * shape[3] > 1
            found.append(Layer(name, TYPES[name.rstrip("12")], shape, spatial, pooled=name == "pool"))
        return found

    def capture(self, inputs: Any, layers: Sequence[str], direction: Direction | None = None) -> Capture:
        """One forward pass, and one pull-back for each of the K directions."""
        x = self._pictures(inputs)
        values = self.net.forward(x)
        self._check(layers, list(values))
        outputs = values["dense"].astype(np.float32)
        gradients = {}
        if direction is not None:
            wanted = direction(outputs, "logits")  # (N, K, classes); once, between the two passes
            pulled = [self.net.backward(values, wanted[:, k]) for k in range(wanted.shape[1])]
            gradients = {
                name: np.stack([channels_first(gradient[name]) for gradient in pulled], axis=1) for name in layers
            }
        return Capture(
            outputs=outputs,
            outputs_kind="logits",
            activations={name: channels_first(values[name]) for name in layers},
            gradients=gradients,
            input_size=x.shape[1:3],
        )

    def classifier_weights(self, inputs: Any, layer: str) -> np.ndarray:
        """The dense layer's rows (classes, C): CAM works on what the global average pooling reads."""
        if layer != "relu2":
            raise MethodError(f"cam explains the layer that is pooled, 'relu2', not {layer!r}; or use 'gradcam'")
        return self.net.dense.T.astype(np.float32)

    def _pictures(self, inputs: Any) -> np.ndarray:
        """What the caller passed as (N, H, W, channels): the array, `(x,)` or `{"x": x}`."""
        if isinstance(inputs, tuple) and len(inputs) == 1:
            (inputs,) = inputs
        elif isinstance(inputs, Mapping) and set(inputs) == {"x"}:
            inputs = inputs["x"]
        x = np.asarray(inputs)
        x = x[None] if x.ndim == 3 else x
        channels = self.net.conv1.shape[2]
        if x.ndim != 4 or x.shape[-1] != channels or not len(x) or x.dtype.kind not in "fiu":
            raise InputError(
                f"inputs of shape {x.shape} and type {x.dtype}: expected numbers (N, height, width, {channels})"
            )
        return x

    def _check(self, layers: Sequence[str], known: list[str]) -> None:
        for name in layers:
            if name not in known:
                near = get_close_matches(name, known, 3, cutoff=0)
                raise LayerError(f"no layer called {name!r}; nearest: {', '.join(near)}")


def channels_first(value: np.ndarray) -> np.ndarray:
    """(N, H, W, C) as (N, C, H, W) float32; a vector (N, C) stays one."""
    return np.ascontiguousarray(np.moveaxis(value, -1, 1), np.float32)

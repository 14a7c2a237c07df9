"""A net of ReLUs with biases as a backend that offers the powers of methods on the input; exact, in float64.

first  = U x + a             U (C1, Cin), a 1 x 1 convolution
small  = relu(first), averaged over 2 x 2 pixels
second = V small + b         V (C2, C1)
logits = W mean(relu(second)) + d
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xaicore import Backend, Capture, Direction, Layer

KINDS = ("first", "second", "dense")


class BiasNet:
    """The weights, a pass, and the way back."""

    def __init__(self, channels: int = 3, classes: int = 4, widths: tuple[int, int] = (5, 6), seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.u, self.a = rng.normal(size=(widths[0], channels)), rng.normal(size=widths[0])
        self.v, self.b = rng.normal(size=(widths[1], widths[0])), rng.normal(size=widths[1])
        self.w, self.d = rng.normal(size=(classes, widths[1])), rng.normal(size=classes)

    def forward(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of the layers with weights, for x (N, channels, H, W), H and W even."""
        x = x.astype(np.float64)
        n, _, height, width = x.shape
        first = np.einsum("dc,nchw->ndhw", self.u, x) + self.a[:, None, None]
        small = np.maximum(first, 0).reshape(n, -1, height // 2, 2, width // 2, 2).mean(axis=(3, 5))
        second = np.einsum("dc,nchw->ndhw", self.v, small) + self.b[:, None, None]
        pooled = np.maximum(second, 0).mean(axis=(2, 3))
        return {"first": first, "second": second, "dense": pooled @ self.w.T + self.d}

    def backward(self, values: Mapping[str, np.ndarray], d: np.ndarray, rule: str = "plain") -> dict[str, np.ndarray]:
        """Gradients (N, K, ...) of the layers and of the "input", from d score / d logits (N, K, classes)."""
        second, first = values["second"], values["first"]
        pooled = (d @ self.w)[..., None, None] / (second.shape[2] * second.shape[3])
        d_second = through_relu(np.broadcast_to(pooled, (*d.shape[:2], *second.shape[1:])), second[:, None], rule)
        d_small = np.einsum("nkdhw,dc->nkchw", d_second, self.v)
        d_first = through_relu(np.repeat(np.repeat(d_small, 2, axis=3), 2, axis=4) / 4, first[:, None], rule)
        return {
            "dense": d,
            "second": d_second,
            "first": d_first,
            "input": np.einsum("nkdhw,dc->nkchw", d_first, self.u),
        }


def through_relu(gradient: np.ndarray, z: np.ndarray, rule: str) -> np.ndarray:
    if rule == "plain":
        return gradient * (z > 0)
    positive = np.maximum(gradient, 0)
    return positive * (z > 0) if rule == "guided" else positive


class BiasBackend(Backend):
    """Counts its calls, and fails in one of them where it is told to: `fails_at`, counted from 1."""

    name = "biasnet"
    powers = frozenset({"input_gradients", "guided", "biases"})

    def __init__(self, net: BiasNet | None = None, offset: float = 0.0) -> None:
        self.net = net or BiasNet()
        self.offset = offset  # what no bias accounts for
        self.sizes: list[int] = []

    def layers(self, inputs: Any) -> Sequence[Layer]:
        values = self.net.forward(np.asarray(inputs))
        return [Layer(name, "Layer", value.shape, value.ndim == 4) for name, value in values.items()]

    def capture(
        self, inputs: Any, layers: Sequence[str], direction: Direction | None = None, rules: Sequence[str] = ()
    ) -> Capture:
        x = np.asarray(inputs)
        self.sizes.append(len(x))
        values = self.net.forward(x)
        outputs = (values["dense"] + self.offset).astype(np.float32)
        gradients, of_input = {}, {}
        if direction is not None:
            d = direction(outputs, "logits").astype(np.float64)
            pulled = self.net.backward(values, d)
            gradients = {name: pulled[name].astype(np.float32) for name in layers}
            of_input = {rule: [self.net.backward(values, d, rule)["input"].astype(np.float32)] for rule in rules}
        activations = {name: values[name].astype(np.float32) for name in layers}
        return Capture(outputs, "logits", activations, x.shape[2:], gradients, input_gradients=of_input)

    def biases(self, inputs: Any) -> Mapping[str, np.ndarray]:
        x = np.asarray(inputs)[:1]
        shapes = {name: value.shape for name, value in self.net.forward(x).items()}
        of_layer = {"first": self.net.a, "second": self.net.b, "dense": self.net.d}
        return {
            name: np.broadcast_to(bias.reshape(1, -1, *[1] * (len(shapes[name]) - 2)), shapes[name])
            for name, bias in of_layer.items()
        }

"""A net whose gradients can be written down, in any number of spatial dimensions, as a backend.

    first  = relu(U x)          U (C1, Cin), a 1 x 1 convolution
    second = relu(V first)      V (C2, C1)
    pool   = spatial mean of second
    logits = W pool             W (classes, C2)

The derivative of logit c with respect to second at a position is W[c] / P, P the number of positions, and with
respect to first sum_j W[c, j] / P [second_j > 0] V[j].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import xaicore
from xaicore import Backend, Capture, Direction, Layer


class ToyNet:
    """The weights, and the formulas above."""

    def __init__(self, channels: int = 3, classes: int = 4, widths: tuple[int, int] = (5, 6), seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.u = rng.normal(size=(widths[0], channels)).astype(np.float32)
        self.v = rng.normal(size=(widths[1], widths[0])).astype(np.float32)
        self.w = rng.normal(size=(classes, widths[1])).astype(np.float32)

    def forward(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Every layer's output for x (N, channels, *S)."""
        first = np.maximum(np.einsum("dc,nc...->nd...", self.u, x), 0)
        return {"first": first, **self.after_first(first)}

    def after_first(self, first: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of the layers behind the first one."""
        second = np.maximum(np.einsum("dc,nc...->nd...", self.v, first), 0)
        return {"second": second, **self.after_second(second)}

    def after_second(self, second: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of the layers behind the second one."""
        pool = second.mean(axis=tuple(range(2, second.ndim)), keepdims=True)
        return {"pool": pool, "dense": pool.reshape(len(second), -1) @ self.w.T}

    def backward(self, values: dict[str, np.ndarray], d_logits: np.ndarray) -> dict[str, np.ndarray]:
        """Gradients (N, K, C, *S) of the layers, from d score / d logits (N, K, classes)."""
        second = values["second"]
        positions = int(np.prod(second.shape[2:]))
        d_pool = (d_logits @ self.w).reshape(*d_logits.shape[:2], -1, *[1] * (second.ndim - 2))
        d_second = np.broadcast_to(d_pool / positions, (*d_logits.shape[:2], *second.shape[1:]))
        d_first = np.einsum("nkd...,dc->nkc...", d_second * (second > 0)[:, None], self.v)
        return {"first": d_first, "second": d_second, "pool": d_pool, "dense": d_logits}


class ToyBackend(Backend):
    """Counts its calls. `head` is what the net puts on its logits and hides: "softmax", "sigmoid" or None."""

    name = "toy"
    powers = frozenset({"resume"})

    def __init__(self, net: ToyNet | None = None, head: str | None = None, kind: str | None = None) -> None:
        self.net = net or ToyNet()
        self.head = head
        self.kind = kind or ("probabilities" if head else "logits")
        self.link: str | None = None
        self.flat = False  # outputs (N,) instead of (N, 1)
        self.calls: list[str] = []

    def layers(self, inputs: Any) -> Sequence[Layer]:
        self.calls.append("layers")
        values = self.net.forward(np.asarray(inputs))
        maps = {"first", "second"}
        return [Layer(name, name.title(), value.shape, name in maps, name == "pool") for name, value in values.items()]

    def capture(self, inputs: Any, layers: Sequence[str], direction: Direction | None = None) -> Capture:
        self.calls.append("capture" if direction is None else "capture with gradients")
        x = np.asarray(inputs, np.float32)
        values = self.net.forward(x)
        outputs = head_forward(values["dense"], self.head)
        outputs = outputs.reshape(-1) if self.flat else outputs
        gradients = {}
        if direction is not None:
            d = direction(outputs, self.kind).reshape(len(x), -1, values["dense"].shape[1])
            gradients = self.net.backward(values, head_backward(values["dense"], d, self.head))
        return Capture(
            outputs,
            self.kind,
            {name: values[name] for name in layers},
            x.shape[2:],
            {name: gradients[name].astype(np.float32) for name in layers} if gradients else {},
            self.link,
        )

    def resume(self, inputs: Any, layer: str, activations: np.ndarray) -> np.ndarray:
        self.calls.append("resume")
        after = self.net.after_first if layer == "first" else self.net.after_second
        return head_forward(after(activations)["dense"], self.head)

    def classifier_weights(self, inputs: Any, layer: str) -> np.ndarray:
        self.calls.append("classifier_weights")
        if layer != "second":
            raise xaicore.MethodError(f"layer {layer!r} does not feed the classifier; use method='gradcam'")
        return self.net.w


def head_forward(logits: np.ndarray, head: str | None) -> np.ndarray:
    if head == "sigmoid":
        return 1 / (1 + np.exp(-logits))
    if head == "softmax":
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)
    return logits


def head_backward(logits: np.ndarray, d: np.ndarray, head: str | None) -> np.ndarray:
    """d score / d logits (N, K, classes) from d score / d outputs."""
    p = head_forward(logits.astype(np.float64), head)[:, None]
    if head == "sigmoid":
        return d * p * (1 - p)
    if head == "softmax":
        return p * (d - (d * p).sum(axis=-1, keepdims=True))
    return d


class BrokenTarget(xaicore.Target):
    """Raises this error instead of an answer."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def aim(self, outputs: np.ndarray, kind: str) -> xaicore.targets.Aim:
        raise self.error

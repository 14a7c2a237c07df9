"""A framework with one net, in NumPy, channels first. It has a mode and hooks, which a backend has to restore."""

from __future__ import annotations

import numpy as np

__all__ = ["Net"]

LAYERS = ("conv1", "relu1", "conv2", "relu2", "pool", "dense")


class Net:
    """Convolution, ReLU, convolution, ReLU, mean, dense, and what `link` names: None, "softmax" or "sigmoid"."""

    def __init__(self, weights: dict[str, np.ndarray], link: str | None = None) -> None:
        self.weights, self.link = weights, link
        self.training = True
        self.hooks: list[object] = []

    @classmethod
    def random(cls, classes: int = 4, seed: int = 0) -> Net:
        """A net with random weights."""
        rng = np.random.default_rng(seed)
        shapes = {"conv1": (5, 3, 3, 3), "conv2": (7, 5, 3, 3), "dense": (classes, 7)}
        weights = {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
        return cls(weights | {f"{name}.bias": np.zeros(len(weight)) for name, weight in weights.items()})

    def step(self, layer: str, before: np.ndarray) -> np.ndarray:
        """The output of a layer."""
        if layer.startswith("relu"):
            return np.maximum(before, 0)
        if layer == "pool":
            return before.mean(axis=(2, 3))
        weight, bias = self.weights[layer].astype(np.float64), self.weights[f"{layer}.bias"]
        return before @ weight.T + bias if layer == "dense" else convolve(before, weight) + bias[:, None, None]

    def back(self, layer: str, d: np.ndarray, before: np.ndarray, rule: str) -> np.ndarray:
        """The gradient (N, ...) at what a layer took, by a rule of ReLUs: "plain", "guided" or "deconv"."""
        if layer.startswith("relu"):
            positive = d if rule == "plain" else np.maximum(d, 0)
            return positive if rule == "deconv" else positive * (before > 0)
        if layer == "pool":
            return np.broadcast_to(d[..., None, None] / np.prod(before.shape[2:]), before.shape)
        weight = self.weights[layer].astype(np.float64)
        return d @ weight if layer == "dense" else convolve(d, weight[:, :, ::-1, ::-1].swapaxes(0, 1))

    def head(self, logits: np.ndarray) -> np.ndarray:
        """What the net returns."""
        if self.link == "sigmoid":
            return 1 / (1 + np.exp(-logits))
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True) if self.link else logits


def convolve(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """(N, C, H, W), padded with zeros, and (D, C, 3, 3): (N, D, H, W)."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), (2, 3))
    return np.einsum("nchwij,dcij->ndhw", windows, kernel)

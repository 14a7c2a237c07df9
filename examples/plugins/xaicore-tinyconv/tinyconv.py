"""A framework with one model, in NumPy: convolution, ReLU, convolution, ReLU, global average pooling, dense.

It stands for the framework that you write a backend for, and does not depend on xaicore. Pictures and activations are
(N, height, width, channels).
"""

from __future__ import annotations

import numpy as np

__all__ = ["Net"]


class Net:
    """The convolutional net.

    Args:
        conv1: kernels (3, 3, channels, C1).
        conv2: kernels (3, 3, C1, C2).
        dense: weights (C2, classes).
    """

    def __init__(self, conv1: np.ndarray, conv2: np.ndarray, dense: np.ndarray) -> None:
        self.conv1, self.conv2, self.dense = conv1, conv2, dense

    @classmethod
    def random(cls, channels: int = 3, widths: tuple[int, int] = (8, 16), classes: int = 10, seed: int = 0) -> Net:
        """A net with random weights."""
        rng = np.random.default_rng(seed)
        shapes = (3, 3, channels, widths[0]), (3, 3, *widths), (widths[1], classes)
        return cls(*(rng.normal(scale=np.prod(shape[:-1]) ** -0.5, size=shape) for shape in shapes))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Logits (N, classes) for pictures (N, height, width, channels)."""
        return self.forward(x)["dense"]

    def forward(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """{layer: its output}, in the order of computation."""
        values = {"conv1": convolve(x, self.conv1)}
        values["relu1"] = np.maximum(values["conv1"], 0)
        values["conv2"] = convolve(values["relu1"], self.conv2)
        values["relu2"] = np.maximum(values["conv2"], 0)
        values["pool"] = values["relu2"].mean(axis=(1, 2))
        values["dense"] = values["pool"] @ self.dense
        return values

    def backward(self, values: dict[str, np.ndarray], d_logits: np.ndarray) -> dict[str, np.ndarray]:
        """{layer: the gradient of (logits * d_logits).sum() with respect to its output}.

        Args:
            values: the result of `forward`.
            d_logits: (N, classes).
        """
        _, height, width, _ = values["relu2"].shape
        d = {"dense": d_logits, "pool": d_logits @ self.dense.T}
        d["relu2"] = np.repeat(np.repeat(d["pool"][:, None, None], height, 1), width, 2) / (height * width)
        d["conv2"] = d["relu2"] * (values["conv2"] > 0)
        d["relu1"] = convolve(d["conv2"], self.conv2[::-1, ::-1].swapaxes(-1, -2))
        d["conv1"] = d["relu1"] * (values["conv1"] > 0)
        return d


def convolve(x: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """Convolves x (N, H, W, C), padded with zeros, with kernels (3, 3, C, D): (N, H, W, D)."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return np.einsum("nhwcij,ijcd->nhwd", windows, kernels, optimize=True)

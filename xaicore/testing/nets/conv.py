"""Convolution, ReLU, convolution, ReLU, global average pooling, dense."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from xaicore.testing.nets.arithmetic import convolve, convolve_back, relu, relu_back
from xaicore.testing.nets.net import ChainNet

__all__ = ["ConvNet"]


class ConvNet(ChainNet):
    """Two convolutions of 3 x 3 with stride 1 and zeros around, each with a ReLU; their spatial mean; a dense layer.

    Attributes:
        conv1, conv2: kernels (5, 3, 3, 3) and (7, 5, 3, 3): output channels, input channels, height, width.
        bias1, bias2: (5,) and (7,); zeros where a framework lacks biases.
        dense, bias: (4, 7) and (4,): classes, channels.
        channels: of the pictures.
        link: the activation behind the dense layer: None, "softmax" or "sigmoid".
    """

    name = "conv"
    layers = ("conv1", "relu1", "conv2", "relu2", "pool", "dense")
    maps = ("conv1", "relu1", "conv2", "relu2")
    channels: ClassVar[int] = 3

    def __init__(self, link: str | None = None, has_bias: bool = True) -> None:
        rng = np.random.default_rng(0)
        self.link = link
        self.conv1 = rng.normal(0, 0.3, (5, self.channels, 3, 3)).astype(np.float32)
        self.conv2 = rng.normal(0, 0.3, (7, 5, 3, 3)).astype(np.float32)
        self.dense = rng.normal(0, 1, (4, 7)).astype(np.float32)
        self.bias1, self.bias2, self.bias = (rng.normal(0, 0.3, n).astype(np.float32) * has_bias for n in (5, 7, 4))

    def pictures(self, count: int = 2, seed: int = 1) -> tuple[np.ndarray, ...]:
        """Pictures (count, channels, 6, 8)."""
        shape = count, self.channels, 6, 8
        return (np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32),)

    def step(self, layer: str, before: np.ndarray) -> np.ndarray:
        """The output of a layer."""
        if layer in ("relu1", "relu2"):
            return relu(before)
        if layer == "pool":
            mean: np.ndarray = before.mean(axis=(2, 3))
            return mean
        if layer == "dense":
            return before @ self.dense.T.astype(np.float64) + self.bias
        kernel, bias = (self.conv1, self.bias1) if layer == "conv1" else (self.conv2, self.bias2)
        return convolve(before, kernel.astype(np.float64), bias)

    def back(self, layer: str, d: np.ndarray, before: np.ndarray, rule: str) -> np.ndarray:
        """The gradient at what a layer took; at the pooled map every position gets the same share."""
        if layer in ("relu1", "relu2"):
            return relu_back(d, before, rule)
        if layer == "pool":
            height, width = before.shape[2:]
            return np.broadcast_to(d[..., None, None] / (height * width), before.shape)
        if layer == "dense":
            return d @ self.dense.astype(np.float64)
        kernel = self.conv1 if layer == "conv1" else self.conv2
        return convolve_back(d, kernel.astype(np.float64), before.shape[2:])

"""A score for each class at each position, as nets that segment pictures answer."""

from __future__ import annotations

import numpy as np

from xaicore.testing.nets.arithmetic import convolve, convolve_back, head, head_back, relu, relu_back
from xaicore.testing.nets.net import ChainNet, Values

__all__ = ["SegmentsNet"]


class SegmentsNet(ChainNet):
    """A convolution of 3 x 3 with stride 1 and zeros around, a ReLU, and one of 1 x 1 that scores: (N, 4, 6, 8).

    It has 4 classes, or 1 where a check asks for that.

    Attributes:
        conv1, bias1: (5, 3, 3, 3) and (5,).
        dense, bias: (classes, 5, 1, 1) and (classes,): classes, channels, height, width.
        link: the activation over the classes behind it: None, "softmax" or "sigmoid".
    """

    name = "segments"
    layers = ("conv1", "relu1", "dense")
    maps = ("conv1", "relu1")

    def __init__(self, link: str | None = None, classes: int = 4) -> None:
        rng = np.random.default_rng(8)
        self.link = link
        self.conv1 = rng.normal(0, 0.3, (5, 3, 3, 3)).astype(np.float32)
        self.dense = rng.normal(0, 1, (classes, 5, 1, 1)).astype(np.float32)
        self.bias1, self.bias = (rng.normal(0, 0.3, n).astype(np.float32) for n in (5, classes))

    def pictures(self, count: int = 2, seed: int = 1) -> tuple[np.ndarray, ...]:
        """Pictures (count, 3, 6, 8)."""
        return (np.random.default_rng(seed).uniform(-1, 1, (count, 3, 6, 8)).astype(np.float32),)

    def step(self, layer: str, before: np.ndarray) -> np.ndarray:
        """The output of a layer."""
        if layer == "relu1":
            return relu(before)
        kernel, bias = (self.conv1, self.bias1) if layer == "conv1" else (self.dense, self.bias)
        return convolve(before, kernel.astype(np.float64), bias)

    def back(self, layer: str, d: np.ndarray, before: np.ndarray, rule: str) -> np.ndarray:
        """The gradient at what a layer took."""
        if layer == "relu1":
            return relu_back(d, before, rule)
        kernel = self.conv1 if layer == "conv1" else self.dense
        return convolve_back(d, kernel.astype(np.float64), before.shape[2:])

    def answer(self, values: Values) -> np.ndarray:
        """The net's answer, (N, 4, 6, 8)."""
        return np.moveaxis(head(np.moveaxis(values["dense"], 1, -1), self.link), -1, 1)

    def answer_back(self, values: Values, d: np.ndarray) -> np.ndarray:
        """d score / d logits (N, K, 4, 6, 8), from d at the answer."""
        at_logits = head_back(np.moveaxis(d, 2, -1), np.moveaxis(values["dense"], 1, -1)[:, None], self.link)
        return np.moveaxis(at_logits, -1, 2)

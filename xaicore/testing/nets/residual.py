"""A residual block with batch norms: what is added skips two layers, and the norms use what a training has counted."""

from __future__ import annotations

import numpy as np

from xaicore.testing.nets.net import GraphNet
from xaicore.testing.nets.steps import Step, affine, convolution, dense, mean, rectifier

__all__ = ["ResidualNet"]


class ResidualNet(GraphNet):
    """relu2 = relu(relu1 + norm2(conv2(relu1))), relu1 = relu(norm1(conv1(x))); its spatial mean; a dense layer.

    A norm of the channels is (x - mean) / sqrt(variance + epsilon) * scale + shift, by its stored mean and variance.

    Attributes:
        conv1, conv2: kernels (5, 3, 3, 3) and (5, 5, 3, 3) with stride 1, zeros around and no bias.
        norms: {"norm1": {"scale", "shift", "mean", "variance"}, "norm2": ...}, each (5,); `epsilon` is 1e-3.
        dense, bias: (4, 5) and (4,).
    """

    name = "residual"
    layers = ("conv1", "norm1", "relu1", "conv2", "norm2", "relu2", "pool", "dense")
    maps = ("conv1", "norm1", "relu1", "conv2", "norm2", "relu2")

    def __init__(self) -> None:
        rng = np.random.default_rng(4)
        self.conv1 = rng.normal(0, 0.3, (5, 3, 3, 3)).astype(np.float32)
        self.conv2 = rng.normal(0, 0.3, (5, 5, 3, 3)).astype(np.float32)
        self.epsilon = 1e-3
        self.norms = {
            name: {
                "scale": rng.uniform(0.5, 1.5, 5).astype(np.float32),
                "shift": rng.normal(0, 0.3, 5).astype(np.float32),
                "mean": rng.normal(0, 0.3, 5).astype(np.float32),
                "variance": rng.uniform(0.5, 2, 5).astype(np.float32),
            }
            for name in ("norm1", "norm2")
        }
        self.dense = rng.normal(0, 1, (4, 5)).astype(np.float32)
        self.bias = rng.normal(0, 0.3, 4).astype(np.float32)

    def pictures(self, count: int = 2, seed: int = 1) -> tuple[np.ndarray, ...]:
        """Pictures (count, 3, 6, 8)."""
        return (np.random.default_rng(seed).uniform(-1, 1, (count, 3, 6, 8)).astype(np.float32),)

    def taken(self, layer: str) -> tuple[str, ...]:
        """The sum may be a layer of its own, which the last ReLU takes."""
        return () if layer == "relu2" else super().taken(layer)

    def graph(self) -> dict[str, Step]:
        """Each layer's step."""
        return {
            "conv1": convolution("input", self.conv1),
            "norm1": affine("conv1", self.factor("norm1"), self.offset("norm1")),
            "relu1": rectifier("norm1"),
            "conv2": convolution("relu1", self.conv2),
            "norm2": affine("conv2", self.factor("norm2"), self.offset("norm2")),
            "relu2": rectifier("relu1", "norm2"),
            "pool": mean("relu2"),
            "dense": dense(self.dense, self.bias, "pool"),
        }

    def factor(self, name: str) -> np.ndarray:
        """What a norm multiplies the channels by, (5,)."""
        own = self.norms[name]
        factor: np.ndarray = own["scale"] / np.sqrt(own["variance"].astype(np.float64) + self.epsilon)
        return factor

    def offset(self, name: str) -> np.ndarray:
        """What it adds to them, (5,)."""
        offset: np.ndarray = self.norms[name]["shift"] - self.norms[name]["mean"] * self.factor(name)
        return offset

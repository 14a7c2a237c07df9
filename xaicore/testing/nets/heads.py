"""Two outputs of one body: `output=` says which one is explained."""

from __future__ import annotations

import numpy as np

from xaicore.testing.nets.net import GraphNet
from xaicore.testing.nets.steps import Step, convolution, dense, mean, rectifier

__all__ = ["HeadsNet"]


class HeadsNet(GraphNet):
    """The spatial mean of relu(conv1(x)), and two dense layers on it, each an output: "shape" first, then "colour".

    The model returns them in any form that tells them apart: a dict with these names, a tuple or a list.

    Attributes:
        conv1, bias1: (5, 3, 3, 3) and (5,): a convolution with stride 1 and zeros around.
        shape, shape_bias: (4, 5) and (4,).
        colour, colour_bias: (3, 5) and (3,).
    """

    name = "outputs"
    layers = ("conv1", "relu1", "pool", "shape", "colour")
    maps = ("conv1", "relu1")

    def __init__(self, explains: int | str | None = None) -> None:
        rng = np.random.default_rng(10)
        self.explain(explains)
        self.conv1 = rng.normal(0, 0.3, (5, 3, 3, 3)).astype(np.float32)
        self.shape, self.colour = (rng.normal(0, 1, (n, 5)).astype(np.float32) for n in (4, 3))
        self.bias1, self.shape_bias, self.colour_bias = (rng.normal(0, 0.3, n).astype(np.float32) for n in (5, 4, 3))

    def explain(self, output: int | str | None) -> None:
        """Choose the output, by its position or name."""
        self.explains, self.end = output, "shape" if output in (0, "shape") else "colour"

    def pictures(self, count: int = 2, seed: int = 1) -> tuple[np.ndarray, ...]:
        """Pictures (count, 3, 6, 8)."""
        return (np.random.default_rng(seed).uniform(-1, 1, (count, 3, 6, 8)).astype(np.float32),)

    def graph(self) -> dict[str, Step]:
        """Each layer's step."""
        return {
            "conv1": convolution("input", self.conv1, self.bias1),
            "relu1": rectifier("conv1"),
            "pool": mean("relu1"),
            "shape": dense(self.shape, self.shape_bias, "pool"),
            "colour": dense(self.colour, self.colour_bias, "pool"),
        }

"""A convolution that runs twice in a pass, the second time on what the first run made: the loop of a recurrent net."""

from __future__ import annotations

import numpy as np

from xaicore.testing.nets.net import GraphNet
from xaicore.testing.nets.steps import Step, convolution, dense, mean, rectifier

__all__ = ["LoopNet"]


class LoopNet(GraphNet):
    """relu(shared(relu(shared(relu(first(x / 2)))))), its spatial mean, and a dense layer.

    Run i of a layer is called "shared#i", as in `Backend.capture`. `relu#1` follows `first`.

    Attributes:
        first, first_bias: (5, 3, 3, 3) and (5,): a convolution with stride 1 and zeros around.
        shared, shared_bias: (5, 5, 3, 3) and (5,): likewise.
        dense, bias: (4, 5) and (4,).
    """

    name = "loop"
    layers = ("first", "relu#1", "shared#1", "relu#2", "shared#2", "relu#3", "pool", "dense")
    maps = ("first", "relu#1", "shared#1", "relu#2", "shared#2", "relu#3")

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        self.first = rng.normal(0, 0.3, (5, 3, 3, 3)).astype(np.float32)
        self.shared = rng.normal(0, 0.3, (5, 5, 3, 3)).astype(np.float32)
        self.first_bias, self.shared_bias = rng.normal(0, 0.3, (2, 5)).astype(np.float32)
        self.dense = rng.normal(0, 1, (4, 5)).astype(np.float32)
        self.bias = rng.normal(0, 0.3, 4).astype(np.float32)

    def pictures(self, count: int = 2, seed: int = 1) -> tuple[np.ndarray, ...]:
        """Pictures (count, 3, 6, 8)."""
        return (np.random.default_rng(seed).uniform(-1, 1, (count, 3, 6, 8)).astype(np.float32),)

    def taken(self, layer: str) -> tuple[str, ...]:
        """The first layer takes what is made of the picture."""
        return () if layer == "first" else super().taken(layer)

    def taken_by_reader(self, picture: np.ndarray) -> np.ndarray:
        """Half of it."""
        return picture / 2

    def graph(self) -> dict[str, Step]:
        """Each run's step."""
        return {
            "first": convolution("input", self.first / 2, self.first_bias),
            "relu#1": rectifier("first"),
            "shared#1": convolution("relu#1", self.shared, self.shared_bias),
            "relu#2": rectifier("shared#1"),
            "shared#2": convolution("relu#2", self.shared, self.shared_bias),
            "relu#3": rectifier("shared#2"),
            "pool": mean("relu#3"),
            "dense": dense(self.dense, self.bias, "pool"),
        }

"""A net whose images depend on each other, as those of batch statistics do."""

from __future__ import annotations

import numpy as np

from xaicore.testing.nets.net import GraphNet, Values
from xaicore.testing.nets.steps import Step, convolution, dense, mean, rectifier

__all__ = ["CoupledNet"]


class CoupledNet(GraphNet):
    """The spatial mean of relu(a - m / 2) and a dense layer, a = relu(conv1(x)) and m its mean over the batch.

    Gradients are those of an image's own scores at the image itself: what others add to it is left out.

    Attributes:
        conv1, bias1: (5, 3, 3, 3) and (5,): a convolution with stride 1 and zeros around.
        dense, bias: (4, 5) and (4,).
    """

    name = "coupled"
    layers = ("conv1", "relu1", "centred", "relu2", "pool", "dense")
    maps = ("conv1", "relu1", "centred", "relu2")

    def __init__(self) -> None:
        rng = np.random.default_rng(14)
        self.conv1 = rng.normal(0, 0.3, (5, 3, 3, 3)).astype(np.float32)
        self.dense = rng.normal(0, 1, (4, 5)).astype(np.float32)
        self.bias1, self.bias = (rng.normal(0, 0.3, n).astype(np.float32) for n in (5, 4))

    def pictures(self, count: int = 2, seed: int = 1) -> tuple[np.ndarray, ...]:
        """Pictures (count, 3, 6, 8)."""
        return (np.random.default_rng(seed).uniform(-1, 1, (count, 3, 6, 8)).astype(np.float32),)

    def graph(self) -> dict[str, Step]:
        """Each layer's step."""
        return {
            "conv1": convolution("input", self.conv1, self.bias1),
            "relu1": rectifier("conv1"),
            "centred": Step(("relu1",), _centre, lambda d, rule, x: (_centre(d),)),
            "relu2": rectifier("centred"),
            "pool": mean("relu2"),
            "dense": dense(self.dense, self.bias, "pool"),
        }

    def backward(self, values: Values, d_logits: np.ndarray, rule: str = "plain") -> dict[str, np.ndarray]:
        """{layer: gradients (N, K, ...)} of each image's own scores."""
        each = []
        for n in range(len(d_logits)):
            alone = np.zeros(d_logits.shape)
            alone[n] = d_logits[n]
            each.append({name: one[n] for name, one in super().backward(values, alone, rule).items()})
        return {name: np.stack([one[name] for one in each]) for name in each[0]}


def _centre(x: np.ndarray) -> np.ndarray:
    """Symmetric, and so its own way back."""
    return x - x.mean(axis=0) / 2

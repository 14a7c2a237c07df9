"""Two pictures of different sizes through one convolution, which so runs twice."""

from __future__ import annotations

import numpy as np

from xaicore.testing.nets.arithmetic import convolve, convolve_back, relu, relu_back
from xaicore.testing.nets.net import Net, Values

__all__ = ["PairNet"]


class PairNet(Net):
    """relu(shared(x)) of each picture, its spatial mean, both means joined, and a dense layer.

    Run i of a layer is called "shared#i", as in `Backend.capture`.

    Attributes:
        shared, shared_bias: (5, 3, 3, 3) and (5,): a convolution with stride 1 and zeros around.
        dense, bias: (4, 10) and (4,): the first five inputs are of the first picture.
    """

    name = "pair"
    layers = ("shared#1", "relu#1", "shared#2", "relu#2", "dense")
    maps = ("shared#1", "relu#1", "shared#2", "relu#2")

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        self.shared = rng.normal(0, 0.3, (5, 3, 3, 3)).astype(np.float32)
        self.shared_bias = rng.normal(0, 0.3, 5).astype(np.float32)
        self.dense = rng.normal(0, 1, (4, 10)).astype(np.float32)
        self.bias = rng.normal(0, 0.3, 4).astype(np.float32)

    def pictures(self, count: int = 2, seed: int = 1) -> tuple[np.ndarray, ...]:
        """Pictures (count, 3, 6, 8) and (count, 3, 7, 9)."""
        rng = np.random.default_rng(seed)
        return tuple(rng.uniform(-1, 1, (count, 3, *size)).astype(np.float32) for size in ((6, 8), (7, 9)))

    def reads(self, layer: str) -> tuple[int, ...]:
        """Run i reads picture i; the dense layer both."""
        run = layer.partition("#")[2]
        return (int(run) - 1,) if run else (0, 1)

    def forward(self, *pictures: np.ndarray) -> dict[str, np.ndarray]:
        """Each layer's output, run by run."""
        values: dict[str, np.ndarray] = {}
        for i, x in enumerate(pictures, 1):
            values["input" if i == 1 else f"input#{i}"] = x.astype(np.float64)
            values[f"shared#{i}"] = convolve(x.astype(np.float64), self.shared.astype(np.float64), self.shared_bias)
            values[f"relu#{i}"] = relu(values[f"shared#{i}"])
        means = [values[f"relu#{i}"].mean(axis=(2, 3)) for i in (1, 2)]
        values["dense"] = np.concatenate(means, axis=1) @ self.dense.T.astype(np.float64) + self.bias
        return values

    def pull(self, values: Values, d: np.ndarray, rule: str = "plain") -> dict[str, np.ndarray]:
        """Back to both pictures, apart: run i of the convolution has the gradient of picture i."""
        gradients = {"dense": d}
        of_means = np.split(d @ self.dense.astype(np.float64), 2, axis=1)
        for i, (name, of_mean) in enumerate(zip(("input", "input#2"), of_means, strict=True), 1):
            height, width = values[name].shape[2:]
            of_map = of_mean[..., None, None] / (height * width)
            gradients[f"relu#{i}"] = np.broadcast_to(of_map, values[f"relu#{i}"].shape)
            gradients[f"shared#{i}"] = relu_back(gradients[f"relu#{i}"], values[f"shared#{i}"], rule)
            gradients[name] = convolve_back(gradients[f"shared#{i}"], self.shared.astype(np.float64), (height, width))
        return gradients

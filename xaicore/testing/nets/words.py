"""A picture and a sentence, by name: one input holds whole numbers, which have no gradients."""

from __future__ import annotations

import numpy as np

from xaicore.testing.nets.net import GraphNet
from xaicore.testing.nets.steps import Step, convolution, dense, lookup, rectifier

__all__ = ["WordsNet"]

VOCABULARY, LENGTH = 11, 5


class WordsNet(GraphNet):
    """The mean of relu(conv1(picture)) over all positions, that of the words' embeddings, both joined, a dense layer.

    The model takes {"picture": (N, 3, 6, 8), "words": (N, 5)}, words from 0 to 10.

    Attributes:
        conv1, bias1: (4, 3, 3, 3) and (4,): a convolution with stride 1 and zeros around.
        embedding: (11, 7): words, channels.
        dense, bias: (3, 11) and (3,): the first four inputs are of the picture.
    """

    name = "words"
    layers = ("conv1", "relu1", "embedding", "dense")
    maps = ("conv1", "relu1")

    def __init__(self) -> None:
        rng = np.random.default_rng(9)
        self.conv1 = rng.normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32)
        self.embedding = rng.normal(0, 1, (VOCABULARY, 7)).astype(np.float32)
        self.dense = rng.normal(0, 1, (3, 11)).astype(np.float32)
        self.bias1, self.bias = (rng.normal(0, 0.3, n).astype(np.float32) for n in (4, 3))

    def pictures(self, count: int = 2, seed: int = 1) -> tuple[np.ndarray, ...]:
        """Pictures (count, 3, 6, 8), and words (count, 5) int32."""
        rng = np.random.default_rng(seed)
        picture = rng.uniform(-1, 1, (count, 3, 6, 8)).astype(np.float32)
        return picture, rng.integers(0, VOCABULARY, (count, LENGTH)).astype(np.int32)

    def reads(self, layer: str) -> tuple[int, ...]:
        """Each side reads its own input."""
        return {"embedding": (1,), "dense": (0, 1)}.get(layer, (0,))

    def graph(self) -> dict[str, Step]:
        """Each layer's step, and the means, which are no layers."""
        return {
            "conv1": convolution("input", self.conv1, self.bias1),
            "relu1": rectifier("conv1"),
            "embedding": lookup("input#2", self.embedding),
            "dense": _means(dense(self.dense, self.bias, "relu1", "embedding")),
        }


def _means(step: Step) -> Step:
    """The same on the means over all positions of a map (N, C, h, w) and over the words of (N, T, C)."""

    def joined(map_: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return map_.mean(axis=(2, 3)), words.mean(axis=1)

    def back(d: np.ndarray, rule: str, map_: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, ...]:
        of_map, of_words = step.back(d, rule, *joined(map_, words))
        each = of_map[:, :, None, None] / np.prod(map_.shape[2:]), of_words[:, None] / words.shape[1]
        return np.broadcast_to(each[0], map_.shape), np.broadcast_to(each[1], words.shape)

    return Step(step.takes, lambda *taken: step.forward(*joined(*taken)), back)

"""Scores for each column of a picture, one after the other, as nets that read words answer: images come second."""

from __future__ import annotations

import numpy as np

from xaicore.testing.nets.arithmetic import head, head_back
from xaicore.testing.nets.net import GraphNet, Values
from xaicore.testing.nets.steps import Step, convolution, rectifier

__all__ = ["SequenceNet"]


class SequenceNet(GraphNet):
    """A convolution of 3 x 3 with stride 1 and zeros around, a ReLU, the mean over its rows, and a dense layer.

    The model answers (8, N, 4), columns, images and classes; here they are (N, 4, 8).

    Attributes:
        conv1, bias1: (5, 3, 3, 3) and (5,).
        dense, bias: (4, 5) and (4,).
        link: the activation over the classes behind it: None or "softmax".
    """

    name = "sequence"
    layers = ("conv1", "relu1", "dense")
    maps = ("conv1", "relu1")

    def __init__(self, link: str | None = None) -> None:
        self.link = link
        rng = np.random.default_rng(18)
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
            "dense": Step(("relu1",), self._scores, self._scores_back),
        }

    def answer(self, values: Values) -> np.ndarray:
        """The net's answer, (N, 4, 8)."""
        return head(values["dense"].swapaxes(1, 2), self.link).swapaxes(1, 2)

    def answer_back(self, values: Values, d: np.ndarray) -> np.ndarray:
        """d score / d logits (N, K, 4, 8), from d at the answer."""
        logits = values["dense"].swapaxes(1, 2)[:, None]
        return head_back(d.astype(np.float64).swapaxes(2, 3), logits, self.link).swapaxes(2, 3)

    def _scores(self, x: np.ndarray) -> np.ndarray:
        """(N, 5, 6, 8) to (N, 4, 8)."""
        scores: np.ndarray = self.dense.astype(np.float64) @ x.mean(axis=2) + self.bias[:, None]
        return scores

    def _scores_back(self, d: np.ndarray, rule: str, x: np.ndarray) -> tuple[np.ndarray]:
        each = self.dense.T.astype(np.float64) @ d / x.shape[2]
        return (np.broadcast_to(each[:, :, None], x.shape),)

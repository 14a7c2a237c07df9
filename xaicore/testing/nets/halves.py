"""The halves of a picture through one convolution, beside words: which run, and which token, is of which part."""

from __future__ import annotations

import numpy as np

from xaicore.testing.nets.arithmetic import convolve, convolve_back
from xaicore.testing.nets.net import GraphNet
from xaicore.testing.nets.steps import Step, dense, lookup
from xaicore.testing.nets.token import PATCH

__all__ = ["HalvesNet"]


class HalvesNet(GraphNet):
    """Layers:

    - "patches#1", "patches#2": a convolution of 4 x 4 with stride 4, of the left and of the right half of the picture:
      (N, 10, 3, 4) each;
    - "embedding": of the words, (N, 5, 10);
    - "tokens": the patches of the left half row by row, those of the right half, then the words, times
      `mix`: (N, 29, 10);
    - "dense": the logits, from the mean of tanh over the tokens.

    The model takes {"picture": (N, 3, 12, 32), "words": (N, 5)}, words from 0 to 10.

    Attributes:
        patches, patches_bias: (10, 3, 4, 4) and (10,).
        embedding: (11, 10): words, channels.
        mix: (10, 10): output channels, input channels.
        dense, bias: (4, 10) and (4,).
    """

    name = "halves"
    layers = ("patches#1", "patches#2", "embedding", "tokens", "dense")
    maps = ("patches#1", "patches#2")
    halves = (slice(0, 16), slice(16, 32))

    def __init__(self) -> None:
        rng = np.random.default_rng(15)
        self.patches = rng.normal(0, 0.3, (10, 3, PATCH, PATCH)).astype(np.float32)
        self.embedding = rng.normal(0, 1, (11, 10)).astype(np.float32)
        self.mix = rng.normal(0, 0.3, (10, 10)).astype(np.float32)
        self.dense = rng.normal(0, 1, (4, 10)).astype(np.float32)
        self.patches_bias, self.bias = (rng.normal(0, 0.3, n).astype(np.float32) for n in (10, 4))

    def pictures(self, count: int = 2, seed: int = 1) -> tuple[np.ndarray, ...]:
        """Pictures (count, 3, 12, 32), and words (count, 5) int32."""
        rng = np.random.default_rng(seed)
        picture = rng.uniform(-1, 1, (count, 3, 12, 32)).astype(np.float32)
        return picture, rng.integers(0, 11, (count, 5)).astype(np.int32)

    def reads(self, layer: str) -> tuple[int, ...]:
        """Each side reads its own input."""
        return {"embedding": (1,), "tokens": (0, 1), "dense": (0, 1)}.get(layer, (0,))

    def graph(self) -> dict[str, Step]:
        """Each layer's step."""
        left, right = map(self._of_half, self.halves)
        return {
            "patches#1": left,
            "patches#2": right,
            "embedding": lookup("input#2", self.embedding),
            "tokens": Step(("patches#1", "patches#2", "embedding"), self._joined, self._joined_back),
            "dense": _mean_of_tanh(dense(self.dense, self.bias, "tokens")),
        }

    def _of_half(self, columns: slice) -> Step:
        kernel = self.patches.astype(np.float64)

        def back(d: np.ndarray, rule: str, x: np.ndarray) -> tuple[np.ndarray]:
            whole = np.zeros(x.shape)
            whole[..., columns] = convolve_back(d, kernel, x[..., columns].shape[2:], PATCH)
            return (whole,)

        return Step(("input",), lambda x: convolve(x[..., columns], kernel, self.patches_bias, PATCH), back)

    def _joined(self, left: np.ndarray, right: np.ndarray, words: np.ndarray) -> np.ndarray:
        return np.concatenate([_rows(left), _rows(right), words], axis=1) @ self.mix.T.astype(np.float64)

    def _joined_back(
        self, d: np.ndarray, rule: str, left: np.ndarray, right: np.ndarray, words: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        of_left, of_right, of_words = np.split(d @ self.mix.astype(np.float64), [12, 24], axis=1)
        of_patches = (one.swapaxes(1, 2).reshape(left.shape) for one in (of_left, of_right))
        return (*of_patches, of_words)


def _rows(patches: np.ndarray) -> np.ndarray:
    return patches.reshape(*patches.shape[:2], -1).swapaxes(1, 2)


def _mean_of_tanh(step: Step) -> Step:
    """The same on the mean over axis 1 of tanh(x)."""

    def back(d: np.ndarray, rule: str, x: np.ndarray) -> tuple[np.ndarray]:
        (of_mean,) = step.back(d, rule, np.tanh(x).mean(axis=1))
        return (of_mean[:, None] / x.shape[1] * (1 - np.tanh(x) ** 2),)

    return Step(step.takes, lambda x: step.forward(np.tanh(x).mean(axis=1)), back)

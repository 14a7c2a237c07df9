"""Patches that read those of their own row, then those of their own column: several attentions beside each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xaicore.capture import Attention
from xaicore.testing.nets.arithmetic import convolve, convolve_back, softmax, softmax_back
from xaicore.testing.nets.net import ChainNet
from xaicore.testing.nets.token import PATCH, joined, split

__all__ = ["Along", "AxialNet"]

HEADS = 2


@dataclass(frozen=True)
class Along:
    """x + output(attention of two heads among the positions of x along one axis), for maps x (N, 10, h, w).

    A row of the weights is one line of positions: line i of image n is row n * lines + i.

    Attributes:
        query, key, value, output: (10, 10): output channels, input channels.
        turns: lines are columns, and no rows.
    """

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    output: np.ndarray
    turns: bool

    def forward(self, x: np.ndarray) -> np.ndarray:
        """(N, 10, h, w)."""
        mixed = self.attend(x).output
        assert mixed is not None
        return x + self._as_map(joined(mixed) @ self.output.T.astype(np.float64), x.shape)

    def attend(self, x: np.ndarray, d: np.ndarray | None = None) -> Attention:
        """The attention, (N * lines, 2, T, ...); with gradients where d (N, K, 10, h, w) at the sum is given."""
        lines = self._lines(x)
        given = (lines @ one.T.astype(np.float64) for one in (self.query, self.key, self.value))
        q, k, v = (split(one, HEADS) for one in given)
        weights = softmax(q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]))
        if d is None:
            return Attention(weights, q, k, v, weights @ v)
        each = [split(self._lines(d[:, n]) @ self.output.astype(np.float64), HEADS) for n in range(d.shape[1])]
        of_output = np.stack(each, axis=1)
        return Attention(weights, q, k, v, weights @ v, of_output @ v.swapaxes(-1, -2)[:, None], of_output)

    def back(self, d: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The gradient at x, from d at the sum."""
        one = self.attend(x, d[:, None])
        q, k, of_output, of_weights = one.query, one.key, one.output_gradients, one.weights_gradients
        assert q is not None
        assert k is not None
        assert of_output is not None
        assert of_weights is not None
        of_scores = softmax_back(of_weights[:, 0], one.weights) / np.sqrt(q.shape[-1])
        parts = (
            (of_scores @ k, self.query),
            (of_scores.swapaxes(-1, -2) @ q, self.key),
            (one.weights.swapaxes(-1, -2) @ of_output[:, 0], self.value),
        )
        of_lines = np.add.reduce([joined(part) @ weight.astype(np.float64) for part, weight in parts])
        return d + self._as_map(of_lines, x.shape)

    def _lines(self, x: np.ndarray) -> np.ndarray:
        """(N, 10, h, w) to (N * lines, T, 10)."""
        rows = x.transpose(0, 3, 2, 1) if self.turns else x.transpose(0, 2, 3, 1)
        return rows.reshape(-1, *rows.shape[2:])

    def _as_map(self, lines: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        rows = lines.reshape(shape[0], -1, *lines.shape[1:])
        return rows.transpose(0, 3, 2, 1) if self.turns else rows.transpose(0, 3, 1, 2)


class AxialNet(ChainNet):
    """Layers:

    - "patches": a convolution of 4 x 4 with stride 4, (N, 10, 3, 4);
    - "rows", "columns": `Along` the rows, and along the columns, (N, 10, 3, 4) each;
    - "dense": the logits, from the mean over all positions.

    Attributes:
        patches, patches_bias: (10, 3, 4, 4) and (10,).
        along: {"rows": `Along`, "columns": `Along`}.
        dense, bias: (4, 10) and (4,).
    """

    name = "axial"
    layers = ("patches", "rows", "columns", "dense")
    maps = ("patches", "rows", "columns")

    def __init__(self) -> None:
        rng = np.random.default_rng(16)
        self.patches = rng.normal(0, 0.3, (10, 3, PATCH, PATCH)).astype(np.float32)
        weights = rng.normal(0, 0.2, (2, 4, 10, 10)).astype(np.float32)
        self.along = {
            name: Along(query, key, value, output, name == "columns")
            for name, (query, key, value, output) in zip(("rows", "columns"), weights, strict=True)
        }
        self.dense = rng.normal(0, 1, (4, 10)).astype(np.float32)
        self.patches_bias, self.bias = (rng.normal(0, 0.3, n).astype(np.float32) for n in (10, 4))

    def pictures(self, count: int = 2, seed: int = 1) -> tuple[np.ndarray, ...]:
        """Pictures (count, 3, 12, 16)."""
        return (np.random.default_rng(seed).uniform(-1, 1, (count, 3, 12, 16)).astype(np.float32),)

    def step(self, layer: str, before: np.ndarray) -> np.ndarray:
        """The output of a layer."""
        if layer == "patches":
            return convolve(before, self.patches.astype(np.float64), self.patches_bias, PATCH)
        if layer in self.along:
            return self.along[layer].forward(before)
        return before.mean(axis=(2, 3)) @ self.dense.T.astype(np.float64) + self.bias

    def back(self, layer: str, d: np.ndarray, before: np.ndarray, rule: str) -> np.ndarray:
        """The gradient at what a layer took."""
        if layer == "patches":
            return convolve_back(d, self.patches.astype(np.float64), before.shape[2:], PATCH)
        if layer in self.along:
            return self.along[layer].back(d, before)
        each = d @ self.dense.astype(np.float64) / np.prod(before.shape[2:])
        return np.broadcast_to(each[:, :, None, None], before.shape)

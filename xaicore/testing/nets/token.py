"""A transformer of one block: patches, a class token, attention of two heads, dense on the class token."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from xaicore.capture import Attention
from xaicore.testing.nets.arithmetic import convolve, convolve_back, softmax, softmax_back
from xaicore.testing.nets.net import ChainNet

__all__ = ["TokenNet", "joined", "split"]

PATCH = 4


class TokenNet(ChainNet):
    """Layers:

    - "patches": a convolution of 4 x 4 with stride 4, (N, 10, 3, 4);
    - "tokens": the class token, then the patches row by row; positions are added: (N, 13, 10);
    - "mixed": tokens + attention of the normalised tokens, (N, 13, 10). The norm is that of a layer, (t - mean) /
      sqrt(var + epsilon) * scale + shift over the channels; heads are slices of 5 channels, the weights of a head are
      softmax(q k^T / sqrt(5)), and `output` joins the heads;
    - "dense": the logits, from the class token of "mixed" alone.

    Attributes:
        patches, patches_bias: (10, 3, 4, 4) and (10,).
        class_token, positions: (10,) and (13, 10).
        scale, shift, epsilon: (10,), (10,) and 1e-5.
        query, key, value, output: (10, 10): output channels, input channels. `qkv` has the first three, (30, 10).
        dense, bias: (4, 10) and (4,).
        heads: the number of heads.
        read: the index of the token that the dense layer reads.
    """

    name = "tokens"
    heads: ClassVar[int] = 2
    read: ClassVar[int] = 0
    layers = ("patches", "tokens", "mixed", "dense")
    maps: ClassVar[tuple[str, ...]] = ("patches", "tokens", "mixed")

    def __init__(self, seed: int = 2) -> None:
        rng = np.random.default_rng(seed)
        self.patches = rng.normal(0, 0.3, (10, 3, PATCH, PATCH)).astype(np.float32)
        self.patches_bias, self.class_token = rng.normal(0, 0.5, (2, 10)).astype(np.float32)
        self.positions = rng.normal(0, 0.5, (13, 10)).astype(np.float32)
        self.query, self.key, self.value, self.output = rng.normal(0, 0.2, (4, 10, 10)).astype(np.float32)
        self.scale, self.shift = rng.uniform(0.5, 1.5, (2, 10)).astype(np.float32)
        self.epsilon = 1e-5
        self.dense = rng.normal(0, 1, (4, 10)).astype(np.float32)
        self.bias = rng.normal(0, 0.3, 4).astype(np.float32)

    @property
    def qkv(self) -> np.ndarray:
        """The weights of query, key and value, one below the other."""
        return np.concatenate([self.query, self.key, self.value])

    def pictures(self, count: int = 2, seed: int = 1) -> tuple[np.ndarray, ...]:
        """Pictures (count, 3, 12, 16)."""
        return (np.random.default_rng(seed).uniform(-1, 1, (count, 3, 12, 16)).astype(np.float32),)

    def taken(self, layer: str) -> tuple[str, ...]:
        """The tokens are made of the patches and something more."""
        return {"patches": ("input",), "mixed": ("tokens",)}.get(layer, ())

    def step(self, layer: str, before: np.ndarray) -> np.ndarray:
        """The output of a layer."""
        if layer == "patches":
            return convolve(before, self.patches.astype(np.float64), self.patches_bias, PATCH)
        if layer == "tokens":
            rows = before.reshape(*before.shape[:2], -1).swapaxes(1, 2)
            first = np.broadcast_to(self.class_token, (len(rows), 1, rows.shape[2]))
            return np.concatenate([first, rows], axis=1) + self.positions
        if layer == "mixed":
            mixed = self.attend(before).output
            assert mixed is not None
            return before + joined(mixed) @ self.output.T.astype(np.float64)
        return before[:, self.read] @ self.dense.T.astype(np.float64) + self.bias

    def back(self, layer: str, d: np.ndarray, before: np.ndarray, rule: str) -> np.ndarray:
        """The gradient at what a layer took."""
        if layer == "patches":
            return convolve_back(d, self.patches.astype(np.float64), before.shape[2:], PATCH)
        if layer == "tokens":
            return d[:, 1:].swapaxes(1, 2).reshape(before.shape)
        if layer == "mixed":
            return d + self._attend_back(d, before)
        of_read = np.zeros(before.shape)
        of_read[:, self.read] = d @ self.dense.astype(np.float64)
        return of_read

    def mask(self, count: int) -> np.ndarray:
        """What is added to the scores of this many tokens."""
        return np.zeros((count, count))

    def attend(self, tokens: np.ndarray, d: np.ndarray | None = None) -> Attention:
        """The attention of tokens (N, 13, 10), float64; with gradients where d (N, K, 13, 10) at "mixed" is given."""
        normalised = self._normalised(tokens)[0] * self.scale + self.shift
        given = (normalised @ one.T.astype(np.float64) for one in (self.query, self.key, self.value))
        q, k, v = (split(one, self.heads) for one in given)
        weights = softmax(q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]) + self.mask(tokens.shape[1]))
        if d is None:
            return Attention(weights, q, k, v, weights @ v)
        each = [split(d[:, n] @ self.output.astype(np.float64), self.heads) for n in range(d.shape[1])]
        of_output = np.stack(each, axis=1)
        of_weights = of_output @ v.swapaxes(-1, -2)[:, None]
        return Attention(weights, q, k, v, weights @ v, of_weights, of_output)

    def _attend_back(self, d: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        one = self.attend(tokens, d[:, None])
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
        of_norm = np.add.reduce([joined(part) @ weight.astype(np.float64) for part, weight in parts]) * self.scale
        unit, deviation = self._normalised(tokens)
        along = of_norm.mean(axis=-1, keepdims=True) + unit * (of_norm * unit).mean(axis=-1, keepdims=True)
        back: np.ndarray = (of_norm - along) / deviation
        return back

    def _normalised(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The tokens with mean 0 and variance 1 over the channels, and what they were divided by."""
        centred = tokens - tokens.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self.epsilon)
        return centred / deviation, deviation


def split(tokens: np.ndarray, heads: int) -> np.ndarray:
    """(N, T, D) to (N, heads, T, D / heads)."""
    return tokens.reshape(*tokens.shape[:2], heads, -1).swapaxes(1, 2)


def joined(heads: np.ndarray) -> np.ndarray:
    """(N, heads, T, D / heads) to (N, T, D)."""
    return heads.swapaxes(1, 2).reshape(len(heads), heads.shape[2], -1)

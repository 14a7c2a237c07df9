"""Tokens that learned queries read, and products of softmaxes that are no attention between tokens."""

from __future__ import annotations

import numpy as np

from xaicore.capture import Attention
from xaicore.testing.nets.arithmetic import softmax, softmax_back
from xaicore.testing.nets.net import GraphNet
from xaicore.testing.nets.steps import Step, convolution, dense
from xaicore.testing.nets.token import PATCH, joined, split

__all__ = ["QueriesNet"]


class QueriesNet(GraphNet):
    """Layers:

    - "patches": a convolution of 4 x 4 with stride 4, (N, 10, 3, 4);
    - "mixed": of the patches row by row times `mix`, x (12, 10), a cross-covariance attention, x softmax(x^T x / 12)^T,
      which mixes channels: (N, 12, 10);
    - "gated": x times its own softmax over the channels, (N, 12, 10);
    - "queries": weights alone, whatever the picture, (N, 3, 10) or (1, 3, 10);
    - "read": attention of two heads of the queries to the tokens of "gated", (N, 3, 10), without a norm or a skip;
    - "dense": the logits, from the mean over the queries.

    Attributes:
        patches, patches_bias: (10, 3, 4, 4) and (10,).
        queries: (3, 10).
        mix, query, key, value, output: (10, 10): output channels, input channels.
        dense, bias: (4, 10) and (4,).
        heads: 2.
    """

    name = "queries"
    layers = ("patches", "mixed", "gated", "queries", "read", "dense")
    maps = ("patches", "mixed", "gated")
    heads = 2

    def __init__(self) -> None:
        rng = np.random.default_rng(12)
        self.patches = rng.normal(0, 0.3, (10, 3, PATCH, PATCH)).astype(np.float32)
        self.patches_bias, self.bias = (rng.normal(0, 0.5, n).astype(np.float32) for n in (10, 4))
        self.queries = rng.normal(0, 1, (3, 10)).astype(np.float32)
        self.mix, self.query, self.key, self.value, self.output = rng.normal(0, 0.5, (5, 10, 10)).astype(np.float32)
        self.dense = rng.normal(0, 1, (4, 10)).astype(np.float32)

    def pictures(self, count: int = 2, seed: int = 1) -> tuple[np.ndarray, ...]:
        """Pictures (count, 3, 12, 16)."""
        return (np.random.default_rng(seed).uniform(-1, 1, (count, 3, 12, 16)).astype(np.float32),)

    def reads(self, layer: str) -> tuple[int, ...]:
        """The queries read no picture."""
        return () if layer == "queries" else (0,)

    def taken(self, layer: str) -> tuple[str, ...]:
        """What is mixed is made of the patches; what is read is given by a projection, which takes something else."""
        return {"patches": ("input",), "gated": ("mixed",)}.get(layer, ())

    def takes_weights(self, layer: str) -> tuple[tuple[int, ...], ...]:
        """The queries are weights."""
        return ((3, 10),) if layer == "read" else ()

    def graph(self) -> dict[str, Step]:
        """Each layer's step."""
        return {
            "patches": convolution("input", self.patches, self.patches_bias, PATCH),
            "mixed": Step(("patches",), self._mix, self._mix_back),
            "gated": Step(("mixed",), lambda x: x * softmax(x), _gate_back),
            "queries": Step(("input",), self._queries, lambda d, rule, x: (np.zeros(x.shape),)),
            "read": Step(("gated", "queries"), self._read, self._read_back),
            "dense": _mean_first(dense(self.dense, self.bias, "read")),
        }

    def attend(self, tokens: np.ndarray, d: np.ndarray | None = None) -> Attention:
        """The attention to tokens (N, 12, 10), float64; with gradients where d (N, K, 3, 10) at "read" is given."""
        queries = self._queries(tokens)
        q, k, v = (
            split(taken @ weight.T.astype(np.float64), self.heads)
            for taken, weight in ((queries, self.query), (tokens, self.key), (tokens, self.value))
        )
        weights = softmax(q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]))
        if d is None:
            return Attention(weights, q, k, v, weights @ v)
        each = [split(d[:, n] @ self.output.astype(np.float64), self.heads) for n in range(d.shape[1])]
        of_output = np.stack(each, axis=1)
        return Attention(weights, q, k, v, weights @ v, of_output @ v.swapaxes(-1, -2)[:, None], of_output)

    def _mix(self, patches: np.ndarray) -> np.ndarray:
        x = _rows(patches) @ self.mix.T.astype(np.float64)
        mixed: np.ndarray = x @ softmax(x.swapaxes(1, 2) @ x / x.shape[1]).swapaxes(1, 2)
        return mixed

    def _mix_back(self, d: np.ndarray, rule: str, patches: np.ndarray) -> tuple[np.ndarray]:
        x = _rows(patches) @ self.mix.T.astype(np.float64)
        weights = softmax(x.swapaxes(1, 2) @ x / x.shape[1])
        of_scores = softmax_back(d.swapaxes(1, 2) @ x, weights) / x.shape[1]
        back = (d @ weights + x @ (of_scores + of_scores.swapaxes(1, 2))) @ self.mix.astype(np.float64)
        return (back.swapaxes(1, 2).reshape(patches.shape),)

    def _queries(self, x: np.ndarray) -> np.ndarray:
        return np.broadcast_to(self.queries.astype(np.float64), (len(x), *self.queries.shape))

    def _read(self, tokens: np.ndarray, queries: np.ndarray) -> np.ndarray:
        output = self.attend(tokens).output
        assert output is not None
        return joined(output) @ self.output.T.astype(np.float64)

    def _read_back(self, d: np.ndarray, rule: str, tokens: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, ...]:
        one = self.attend(tokens, d[:, None])
        assert one.query is not None
        assert one.output_gradients is not None
        assert one.weights_gradients is not None
        of_scores = softmax_back(one.weights_gradients[:, 0], one.weights) / np.sqrt(one.query.shape[-1])
        of_key = joined(of_scores.swapaxes(-1, -2) @ one.query) @ self.key.astype(np.float64)
        of_value = joined(one.weights.swapaxes(-1, -2) @ one.output_gradients[:, 0]) @ self.value.astype(np.float64)
        return of_key + of_value, np.zeros(queries.shape)


def _rows(patches: np.ndarray) -> np.ndarray:
    """(N, C, h, w) to (N, h * w, C)."""
    return patches.reshape(*patches.shape[:2], -1).swapaxes(1, 2)


def _gate_back(d: np.ndarray, rule: str, x: np.ndarray) -> tuple[np.ndarray]:
    gate = softmax(x)
    return (d * gate + softmax_back(d * x, gate),)


def _mean_first(step: Step) -> Step:
    """The same on the mean over axis 1."""

    def back(d: np.ndarray, rule: str, x: np.ndarray) -> tuple[np.ndarray]:
        (of_mean,) = step.back(d, rule, x.mean(axis=1))
        return (np.broadcast_to(of_mean[:, None] / x.shape[1], x.shape),)

    return Step(step.takes, lambda x: step.forward(x.mean(axis=1)), back)

"""A transformer of one block whose tokens read those before them, as language models do; its last token is read."""

from __future__ import annotations

import numpy as np

from xaicore.testing.nets.token import TokenNet

__all__ = ["CausalNet"]


class CausalNet(TokenNet):
    """The net of tokens without a class token, so that there are twelve, with five heads of 2 channels.

    -inf is added to the scores of keys behind the query. "dense" takes the last token.

    Attributes:
        positions: (12, 10).
    """

    name = "causal"
    maps = ("patches", "tokens")  # of what the block gives, the gradient arrives at one token alone
    heads = 5
    read = -1

    def __init__(self) -> None:
        super().__init__(seed=11)
        self.positions = self.positions[1:]
        del self.class_token  # a builder that reads it would put thirteen tokens beside twelve positions

    def step(self, layer: str, before: np.ndarray) -> np.ndarray:
        """The output of a layer."""
        if layer == "tokens":
            return before.reshape(*before.shape[:2], -1).swapaxes(1, 2) + self.positions
        return super().step(layer, before)

    def back(self, layer: str, d: np.ndarray, before: np.ndarray, rule: str) -> np.ndarray:
        """The gradient at what a layer took."""
        if layer == "tokens":
            return d.swapaxes(1, 2).reshape(before.shape)
        return super().back(layer, d, before, rule)

    def mask(self, count: int) -> np.ndarray:
        """-inf above the diagonal."""
        return np.triu(np.full((count, count), -np.inf), 1)

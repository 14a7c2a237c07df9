"""A transformer of two blocks: which attention is which, and what passes from one to the other."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from xaicore.testing.nets.net import ChainNet
from xaicore.testing.nets.token import TokenNet

__all__ = ["BlocksNet"]


class BlocksNet(ChainNet):
    """The net of tokens with a second block: "mixed1" and "mixed2"; the class token of "mixed2" is read.

    Attributes:
        blocks: two nets of tokens. `scale`, `shift`, `query`, `key`, `value` and `output` of each are those of a block;
            patches, class token and positions are those of the first, and `dense` and `bias` those of the second.
    """

    name = "blocks"
    layers: ClassVar[tuple[str, ...]] = ("patches", "tokens", "mixed1", "mixed2", "dense")
    maps: ClassVar[tuple[str, ...]] = ("patches", "tokens", "mixed1", "mixed2")

    def __init__(self) -> None:
        self.blocks: tuple[TokenNet, ...] = TokenNet(), TokenNet(seed=6)

    def pictures(self, count: int = 2, seed: int = 1) -> tuple[np.ndarray, ...]:
        """Pictures (count, 3, 12, 16)."""
        return self.blocks[0].pictures(count, seed)

    def taken(self, layer: str) -> tuple[str, ...]:
        """The tokens are made of the patches and something more."""
        return {"patches": ("input",), "mixed1": ("tokens",), "mixed2": ("mixed1",)}.get(layer, ())

    def step(self, layer: str, before: np.ndarray) -> np.ndarray:
        """The output of a layer."""
        block, own = self._own(layer)
        return block.step(own, before)

    def back(self, layer: str, d: np.ndarray, before: np.ndarray, rule: str) -> np.ndarray:
        """The gradient at what a layer took."""
        block, own = self._own(layer)
        return block.back(own, d, before, rule)

    def _own(self, layer: str) -> tuple[TokenNet, str]:
        """The net of tokens that a layer belongs to, and what it is called there."""
        return self.blocks[layer in ("mixed2", "dense")], layer.rstrip("12")

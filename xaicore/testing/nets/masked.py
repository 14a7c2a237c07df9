"""A transformer of three blocks whose attentions are masked or biased, each in another way."""

from __future__ import annotations

import numpy as np

from xaicore.testing.nets.blocks import BlocksNet
from xaicore.testing.nets.token import TokenNet

__all__ = ["MaskedBlock", "MaskedNet"]

TOKENS = 13


class MaskedBlock(TokenNet):
    """The block of a net of tokens, with something added to the scores of its attention.

    Attributes:
        added: (13, 13), or (2, 13, 13) for each head; -inf hides a key from a query.
    """

    def __init__(self, seed: int, added: np.ndarray) -> None:
        super().__init__(seed)
        self.added = added

    def mask(self, count: int) -> np.ndarray:
        """What is added to the scores."""
        return self.added


class MaskedNet(BlocksNet):
    """The transformer of blocks with three of them, "mixed1", "mixed2" and "mixed3":

    - a mask hides from a query of the first all keys behind it, as in the causal net, whose framework may say so;
    - a mask hides from a query of the second all keys but the first one behind it;
    - the third adds a bias to the scores, and both of its heads share keys and values: `key` and `value` are twice the
      same five rows.

    Attributes:
        blocks: three `MaskedBlock`s. Patches, class token and positions are those of the first, `dense` and `bias`
            those of the last.
    """

    name = "masked"
    layers = ("patches", "tokens", "mixed1", "mixed2", "mixed3", "dense")
    maps = ("patches", "tokens", "mixed1", "mixed2", "mixed3")

    def __init__(self) -> None:
        masks = (np.triu(np.full((TOKENS, TOKENS), -np.inf), behind) for behind in (1, 2))
        bias = np.random.default_rng(17).normal(0, 1, (2, TOKENS, TOKENS)).astype(np.float32)
        self.blocks: tuple[TokenNet, ...] = tuple(
            MaskedBlock(seed, added) for seed, added in zip((14, 15, 16), (*masks, bias), strict=True)
        )
        last = self.blocks[-1]
        last.key[5:], last.value[5:] = last.key[:5], last.value[:5]

    def taken(self, layer: str) -> tuple[str, ...]:
        """The tokens are made of the patches and something more."""
        return ("mixed2",) if layer == "mixed3" else super().taken(layer)

    def _own(self, layer: str) -> tuple[TokenNet, str]:
        """The net of tokens that a layer belongs to, and what it is called there."""
        return self.blocks[{"mixed2": 1, "mixed3": 2, "dense": 2}.get(layer, 0)], layer.rstrip("123")

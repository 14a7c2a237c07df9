"""Nets whose numbers are those of others, written in another form: by hand, in half precision, with turned pictures."""

from __future__ import annotations

import numpy as np

from xaicore.testing.nets.blocks import BlocksNet
from xaicore.testing.nets.conv import ConvNet
from xaicore.testing.nets.token import TokenNet

__all__ = ["HalfNet", "LeakyNet", "OpenNet", "SharesNet", "TurnedNet"]

SLOPE = 0.3


class OpenNet(BlocksNet):
    """A transformer of two blocks, whose attentions are written out of single operations: product, softmax, product."""

    name = "open"

    def __init__(self) -> None:
        self.blocks = TokenNet(seed=11), TokenNet(seed=12)


class HalfNet(ConvNet):
    """The convolutional net on pictures of four channels, in float16: `conv1` is (5, 4, 3, 3)."""

    name = "half"
    channels = 4


class TurnedNet(ConvNet):
    """The convolutional net on grey pictures, whose channel is on the other side of the positions.

    `conv1` is (5, 1, 3, 3).
    """

    name = "turned"
    channels = 1


class LeakyNet(ConvNet):
    """The convolutional net, with a leaky ReLU in the place of "relu2": z where z > 0, else 0.3 z."""

    name = "leaky"

    def step(self, layer: str, before: np.ndarray) -> np.ndarray:
        """The output of a layer."""
        return np.where(before > 0, before, SLOPE * before) if layer == "relu2" else super().step(layer, before)

    def back(self, layer: str, d: np.ndarray, before: np.ndarray, rule: str) -> np.ndarray:
        """The gradient at what a layer took; no rule but the plain one for the leaky ReLU."""
        return d * np.where(before > 0, 1, SLOPE) if layer == "relu2" else super().back(layer, d, before, rule)


class SharesNet(ConvNet):
    """The convolutional net, behind whose dense layer single operations divide exp(z) by its sum over the classes.

    Where a framework does not take these for a softmax, its outputs are probabilities.
    """

    name = "shares"

    def __init__(self) -> None:
        super().__init__("softmax")

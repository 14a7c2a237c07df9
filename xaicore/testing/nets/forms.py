"""Nets whose numbers are those of others, written in another form: by hand, in half precision, with turned pictures."""

from __future__ import annotations

from xaicore.testing.nets.blocks import BlocksNet
from xaicore.testing.nets.conv import ConvNet
from xaicore.testing.nets.token import TokenNet

__all__ = ["HalfNet", "OpenNet", "TurnedNet"]


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

"""What the layers of the kit's nets have beyond their derivative times what they take."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore.testing.nets.loop import LoopNet
from xaicore.testing.nets.residual import ResidualNet

__all__ = ["offsets"]


def offsets(net: Any) -> dict[str, np.ndarray]:
    """{layer: f(z) - f'(z) z, (channels,)} of a net's innermost layers; empty for nets whose offsets depend on z."""
    if isinstance(net, ResidualNet):
        return {name: net.offset(name) for name in net.norms} | {"dense": net.bias}
    if isinstance(net, LoopNet):
        shared = dict.fromkeys(("shared#1", "shared#2"), net.shared_bias)
        return {"first": net.first_bias, **shared, "dense": net.bias}
    return {"conv1": net.bias1, "conv2": net.bias2, "dense": net.bias} if net.name == "conv" else {}

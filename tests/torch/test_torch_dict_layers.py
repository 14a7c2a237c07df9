"""Layers whose answer is no array."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import xaicore


class Body(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        y = self.conv(x)
        return {"fine": y, "coarse": y[..., ::2, ::2]}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.dense = Body(), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.body(x)
        return self.dense(sum(one.relu().mean((2, 3)) for one in maps.values()))


def test_a_layer_that_gives_several_maps_is_refused_and_the_advice_works() -> None:
    net, x = Net().eval(), torch.rand(2, 3, 8, 8)
    with pytest.raises(xaicore.XaicoreError, match="body"):
        xaicore.explain(net, x, layer="body")
    explanation = xaicore.explain(net, x, layer="body.conv")
    assert explanation.maps.shape == (2, 6, 6)
    np.testing.assert_array_equal(explanation.outputs, net(x).detach().numpy())

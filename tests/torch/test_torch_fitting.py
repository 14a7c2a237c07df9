"""A method fits a model where `explain` explains it; else the reason is the error that `explain` raises."""

import numpy as np
import pytest
import torch
from torch import nn
from torch_nets import ConvGapDense, pictures

import xaicore
from xaicore.testing.state import bits

FEW = {
    "rise": {"masks": 20},
    "sscam": {"samples": 2},
    "iscam": {"samples": 2},
    "smoothgrad": {"n": 2},
    "smoothgradcam++": {"n": 2},
    "integrated-gradients": {"steps": 2},
}
"""Options with which a method of many passes takes few."""


class Gated(ConvGapDense):
    """A map times another: more than layers of one input can account for."""

    def forward(self, x):
        a = self.relu2(self.conv2(self.relu1(self.conv1(x))))
        return self.dense((a * a.mean(1, keepdim=True)).mean((2, 3)))


class Pooled(ConvGapDense):
    """The classifier reads a pooled map, where CAM belongs; the other methods explain the map before."""

    def __init__(self):
        super().__init__()
        self.pool = nn.MaxPool2d(2)

    def forward(self, x):
        return self.dense(self.pool(self.relu2(self.conv2(self.relu1(self.conv1(x))))).mean((2, 3)))


class Tokens(nn.Module):
    """3 x 4 patches, one attention, their mean."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.patch = nn.Conv2d(1, 8, 2, 2)
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.last = nn.LayerNorm(8)
        self.dense = nn.Linear(8, 3)

    def forward(self, x):
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        normed = self.norm(tokens)
        return self.dense(self.last(tokens + self.attention(normed, normed, normed)[0]).mean(1))


OF_ATTENTION = {"rollout", "attention", "legrad", "gradeclip", "chefer"}
NETS = {
    "a convolutional net": (ConvGapDense, OF_ATTENTION | {"refinecam"}),
    "one output": (lambda: ConvGapDense(1), OF_ATTENTION | {"refinecam", "finercam"}),
    "a pooled map": (Pooled, OF_ATTENTION | {"refinecam"}),
    "a gate": (Gated, OF_ATTENTION | {"refinecam", "fullgrad", "cam"}),
    "a transformer": (Tokens, {"refinecam", "fullgrad", "guided", "deconv", "guided-gradcam"}),  # it has no ReLU
}


def refusal(model, x, name):
    """The error of the whole method; None where it has none."""
    try:
        xaicore.explain(model, x, method=xaicore.method(name, **FEW.get(name, {})))
    except xaicore.XaicoreError as exc:
        return str(exc)
    return None


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("net", NETS)
def test_methods_fit_where_explain_works(net):
    build, misfits = NETS[net]
    model, x = build(), pictures(1, h=6, w=8)
    found = xaicore.fitting_methods(model, x)
    assert found == {name: refusal(model, x, name) for name in xaicore.METHODS}
    assert {name for name, reason in found.items() if reason is not None} == misfits


def test_what_the_caller_says_counts():
    model, x = ConvGapDense(), pictures(1)
    assert xaicore.fitting_methods(model, x, layer=["relu1", "relu2"])["refinecam"] is None
    of_values = xaicore.fitting_methods(model, x, 0, kind="values")
    assert "compares classes" in of_values["finercam"]
    assert of_values["gradcam"] is None


def test_the_model_stays_as_it_was():
    model, x = ConvGapDense().train(), pictures(1)
    before = bits(model.state_dict()), torch.get_rng_state(), np.random.get_state()[1].copy()
    xaicore.fitting_methods(model, x)
    assert bits(model.state_dict()) == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert np.array_equal(np.random.get_state()[1], before[2])
    assert model.training
    assert all(one.grad is None for one in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())

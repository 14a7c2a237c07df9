"""One small ViT in two frameworks: what the methods of attention draw for Keras is what they draw for PyTorch."""

import numpy as np
import pytest
import torch
from keras_attention import CHANNELS, TOKENS, Vit
from keras_nets import numpy, pictures, run
from torch import nn
from torch.nn import functional as F

import xaicore

METHODS = ("rollout", "attention", "legrad", "gradeclip", "chefer")
CLASSES = [[0, 2], [1, 1], [2, 0]]


class Theirs(nn.Module):
    """The net of `keras_attention.Vit` in PyTorch, with its weights."""

    def __init__(self, ours):
        super().__init__()
        self.patches = nn.Conv2d(1, CHANNELS, 3, 3)
        self.token = nn.Parameter(tensor(ours.token))
        self.norm = nn.LayerNorm(CHANNELS, eps=ours.norm.epsilon)
        self.blocks = nn.ModuleList(Attention(each.inner) for each in ours.attentions)
        self.dense = nn.Linear(CHANNELS, 3)
        kernel = tensor(ours.patches.kernel).permute(3, 2, 0, 1)
        self.patches.load_state_dict({"weight": kernel, "bias": tensor(ours.patches.bias)})
        self.norm.load_state_dict({"weight": tensor(ours.norm.gamma), "bias": tensor(ours.norm.beta)})
        self.dense.load_state_dict({"weight": tensor(ours.dense.kernel).T, "bias": tensor(ours.dense.bias)})

    def forward(self, x):
        patches = self.patches(x).flatten(2).transpose(1, 2)
        t = torch.cat([self.token.expand(len(x), -1, -1), patches], 1)
        for block in self.blocks:
            t = t + block(self.norm(t))
        return self.dense(t[:, 0])


class Attention(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.qkv, self.join = nn.Linear(CHANNELS, 3 * CHANNELS), nn.Linear(CHANNELS, CHANNELS)
        parts = inner._query_dense, inner._key_dense, inner._value_dense
        weight = torch.cat([tensor(part.kernel).reshape(CHANNELS, -1).T for part in parts])
        self.qkv.load_state_dict({"weight": weight, "bias": torch.cat([tensor(part.bias).flatten() for part in parts])})
        output = inner._output_dense
        self.join.load_state_dict(
            {"weight": tensor(output.kernel).reshape(-1, CHANNELS).T, "bias": tensor(output.bias)}
        )

    def forward(self, t):
        q, k, v = self.qkv(t).reshape(len(t), TOKENS, 3, 2, -1).permute(2, 0, 3, 1, 4)
        return self.join(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(t.shape))


def tensor(weight):
    return torch.tensor(numpy(weight))


@pytest.fixture(scope="module")
def explained():
    """({method: Explanation} of PyTorch, the same of Keras)."""
    ours, x = Vit(), pictures(3)
    theirs, turned = Theirs(ours).eval(), np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    with torch.no_grad():
        np.testing.assert_allclose(numpy(run(ours, x)), theirs(torch.from_numpy(turned)).numpy(), rtol=0, atol=1e-5)
    return (
        xaicore.Explainer(theirs).compare(turned, METHODS, CLASSES),
        xaicore.Explainer(ours).compare(x, METHODS, CLASSES),
    )


@pytest.mark.parametrize("method", METHODS)
def test_maps_are_pytorchs(explained, method):
    expected, found = (explanations[method] for explanations in explained)
    assert found.maps.shape == expected.maps.shape == (6, 2, 3)
    assert np.array_equal(found.empty, expected.empty)
    assert expected.maps.any()
    np.testing.assert_allclose(found.maps, expected.maps, rtol=0, atol=1e-4 * np.abs(expected.maps).max())

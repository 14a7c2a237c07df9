"""The layer that is found for boxes: not one of the head, which leads to those of one level alone."""

import numpy as np
import pytest
import torch
from torch import nn

import xaicore
from xaicore.targets import Box, Boxes

BOXES = torch.tensor([[0, 0, 8, 8], [8, 8, 32, 24], [16, 0, 48, 32], [0, 8, 24, 32]], dtype=torch.float32)


class Levels(nn.Module):
    """Two levels with a head each, as SSD: two boxes of the fine one, then two of the coarse one."""

    def __init__(self, bias=(0.0, 0.0)):
        super().__init__()
        torch.manual_seed(3)
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, 4, 1), nn.ReLU())
        self.extra = nn.Sequential(nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU())
        self.heads = nn.ModuleList([nn.Conv2d(6, 1, 3, padding=1), nn.Conv2d(8, 1, 3, padding=1)])
        self.bias = bias
        self.eval()

    def scores(self, x):
        fine = self.body(x)
        coarse = self.extra(fine)
        maps = [head(level) + bias for head, level, bias in zip(self.heads, (fine, coarse), self.bias, strict=True)]
        return torch.cat([one[:, 0, [1, 2], [2, 3]] for one in maps], 1).sigmoid()

    def forward(self, x):
        return [{"boxes": BOXES, "scores": one, "labels": torch.ones(4, dtype=torch.int64)} for one in self.scores(x)]


@pytest.fixture
def x():
    return torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(1))


def autograd(model, x, layer, k):
    """Maps of the k-th best box of each picture."""
    kept = []
    handle = model.get_submodule(layer).register_forward_hook(lambda module, args, output: kept.append(output))
    scores = model.scores(x).sort(dim=1, descending=True).values[:, k]
    handle.remove()
    (gradient,) = torch.autograd.grad(scores.sum(), kept)
    return (kept[0] * gradient.mean((2, 3), keepdim=True)).sum(1).relu().detach().numpy()


@pytest.mark.parametrize(
    ("bias", "k", "layer"),
    [
        ((-9, 0), 2, "extra"),  # the best two are of the coarse level
        ((0, -9), 2, "body"),
        ((0, 0), 4, "body"),  # of both levels
    ],
)
@pytest.mark.parametrize("method", ["gradcam", "eigencam"])
def test_the_last_map_that_leads_to_all_boxes(bias, k, layer, method, x, unchanged):
    model = Levels(bias)
    explainer = xaicore.Explainer(model, method)
    with unchanged(model):
        found = explainer(x, Boxes(k))
    assert found.layer == layer
    assert explainer.layers == (layer,)
    if method == "gradcam":
        expected = np.stack([autograd(model, x, layer, i) for i in range(k)], axis=1)
        np.testing.assert_allclose(found.maps, expected.reshape(-1, *expected.shape[2:]), rtol=1e-4, atol=1e-9)


def test_it_moves_on_where_later_boxes_are_of_another_level(x):
    model = Levels((-9, 0))
    explainer = xaicore.Explainer(model)
    assert explainer(x, Box()).layer == "extra"
    model.bias = (9, 0)
    assert explainer(x, Box()).layer == "body"
    np.testing.assert_allclose(explainer(x, Box()).maps, autograd(model, x, "body", 0), rtol=1e-4, atol=1e-9)
    model.bias = (-9, 0)
    assert explainer(x, Box()).layer == "body"  # one that leads to all stays


def test_a_layer_that_is_named_stays(x):
    found = xaicore.explain(Levels((0, -9)), x, Box(), layer="heads.1")
    assert found.layer == "heads.1"
    assert found.empty.all()


def test_boxes_that_no_map_leads_to_stay_empty(x):
    model = Levels()
    model.heads[0].weight.data.zero_()
    model.bias = (5, 0)
    found = xaicore.explain(model, x, Boxes(4))  # the best two are constant, the others are of the coarse level
    assert found.layer == "extra"
    assert found.empty.reshape(2, 4)[:, :2].all()


def test_one_map_at_a_time_where_memory_is_short(x, monkeypatch):
    monkeypatch.setattr("xaicore.evidence.leading.AT_ONCE", 1)
    assert xaicore.explain(Levels(), x, Boxes(4)).layer == "body"

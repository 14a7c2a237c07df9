"""A list of pictures as the input: detectors resize, pad and stack them themselves."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import xaicore
from xaicore_torch.backend import TorchBackend

SIZE = (40, 60)


class Detector(nn.Module):
    """Resizes each picture, pads all of them to a multiple of 32, and returns one dict per picture."""

    def __init__(self, scale=1.25):
        super().__init__()
        torch.manual_seed(0)
        self.scale = scale
        self.conv = nn.Conv2d(3, 4, 8, stride=8)
        self.score = nn.Linear(4, 2)
        self.eval()

    def transform(self, images):
        assert isinstance(images, list)
        resized = [
            functional.interpolate(one[None], scale_factor=self.scale, recompute_scale_factor=True)[0] for one in images
        ]
        sizes = [-(-max(one.shape[axis] for one in resized) // 32) * 32 for axis in (1, 2)]
        return torch.stack(
            [functional.pad(one, (0, sizes[1] - one.shape[2], 0, sizes[0] - one.shape[1])) for one in resized]
        )

    def forward(self, images):
        maps = self.conv(self.transform(images)).relu()
        scores = self.score(maps.mean((2, 3))).sigmoid()
        return [{"boxes": torch.ones(2, 4) * row[:1], "scores": row} for row in scores]


def pictures(count=2, at=(16, 40)):
    """Dark pictures, each with a bright square 8 pixels wide around one place."""
    x = torch.full((count, 3, *SIZE), 0.05)
    x[:, :, at[0] - 4 : at[0] + 4, at[1] - 4 : at[1] + 4] = 1
    return list(x)


class First(xaicore.Target):
    """The first score of each picture."""

    needs_parts = True

    def aim(self, outputs, kind):
        direction = np.zeros((len(outputs), 1, *outputs.shape[1:]), np.float32)
        direction[:, :, 0] = 1
        return xaicore.targets.Aim(direction, np.full((len(outputs), 1), -1))


def autograd(model, x):
    kept = []
    handle = model.conv.register_forward_hook(lambda module, args, output: kept.append(output))
    y = torch.stack([one["scores"][0] for one in model(x)])
    handle.remove()
    (gradient,) = torch.autograd.grad(y.sum(), kept)
    return (kept[0] * gradient.mean((2, 3), keepdim=True)).sum(1).relu().detach().numpy()


@pytest.mark.parametrize("method", ["gradcam", "scorecam", "gradient"])
def test_a_list_of_pictures(method, unchanged):
    model, x = Detector(), pictures()
    with unchanged(model):
        found = xaicore.explain(model, x, First(), layer="conv", method=method, progress=False)
    assert found.input_size == (51, 77)  # 50 of 64 rows and 75 of 96 columns are the picture's
    expected = torch.stack([one["scores"][0] for one in model(x)]).detach()
    np.testing.assert_allclose(found.scores, expected, rtol=1e-5)
    if method == "gradcam":
        np.testing.assert_allclose(found.maps, autograd(model, x), rtol=1e-4, atol=1e-8)
        arrays = xaicore.explain(model, [one.numpy() for one in x], First(), layer="conv")
        np.testing.assert_array_equal(arrays.maps, found.maps)
    np.testing.assert_array_equal(found.images[:, :40, :60, 0] > 128, torch.stack(x)[:, 0] > 0.5)
    assert not found.images[:, 40:].any()
    assert not found.images[:, :, 60:].any()


@pytest.mark.parametrize("at", [(8, 12), (16, 40), (30, 50), (34, 8)])
@pytest.mark.parametrize("scale", [1.25, 0.9, 1.0])
def test_the_map_lies_over_the_object(at, scale):
    """Not where it would lie if the map covered the picture without the padding."""
    model = Detector(scale)
    with torch.no_grad():
        model.conv.weight.fill_(1 / 64)
        model.conv.bias.fill_(-0.5)
        model.score.weight.fill_(1)
    found = xaicore.explain(model, pictures(1, at), First(), layer="conv")
    heat = found.heatmap(0)
    y, x = (float(at.mean()) + 0.5 for at in np.nonzero(heat > 0.5 * heat.max()))
    half = 4 / scale + 1  # of a position
    assert abs(y - at[0]) <= half
    assert abs(x - at[1]) <= half


def test_pictures_of_the_caller_are_padded_in_proportion():
    model, x = Detector(), pictures(1)
    images = np.full((1, 80, 120, 3), 200, np.uint8)
    found = xaicore.explain(model, x, First(), layer="conv", images=images)
    assert found.images.shape == (1, 80 + round(80 * 11 / 40), 120 + round(120 * 17 / 60), 3)
    assert (found.images[:, :80, :120] == 200).all()
    padded = np.full((1, 51, 77, 3), 7, np.uint8)
    assert xaicore.explain(model, x, First(), layer="conv", images=padded).images.shape == padded.shape


def test_versions_that_lie_elsewhere_are_refused():
    with pytest.raises(xaicore.MethodError, match=r"padding behind the end of its pictures.*leave augment= out"):
        xaicore.explain(Detector(), pictures(), First(), layer="conv", augment=True)
    assert xaicore.explain(Detector(), pictures(), First(), layer="conv", smooth=2).maps.any()


def test_pictures_of_different_sizes_are_explained_one_at_a_time():
    model = Detector()
    x = [torch.rand(3, 40, 60), torch.rand(3, 30, 50)]
    with pytest.raises(xaicore.InputError, match=r"a map each: xaicore\.explain_each\(xaicore\.Explainer\(model\), x"):
        xaicore.explain(model, x, First(), layer="conv")
    found = xaicore.explain_each(xaicore.Explainer(model), x, First())  # as the message says
    for one, picture in zip(found, x, strict=True):
        np.testing.assert_allclose(one.maps, autograd(model, [picture]), rtol=1e-4, atol=1e-8)
    assert [one.input_size for one in found] == [(51, 77), (52, 52)]  # padded to 64 x 96 and 64 x 64


def test_a_model_that_takes_no_list_still_takes_an_array():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    explainer = xaicore.Explainer(model)
    x = [torch.rand(3, 8, 10)] * 2
    with pytest.raises(xaicore.InputError, match="the inputs are a list of 2: stack images to one array"):
        explainer(x, 1)
    assert explainer(torch.stack(x), 1).maps.shape == (2, 6, 8)
    with pytest.raises(xaicore.InputError, match="the inputs are a list of 2: stack images to one array"):
        explainer(x, 1)
    assert explainer(torch.stack(x), 1).maps.shape == (2, 6, 8)
    assert len(xaicore.explain_each(explainer, x, 1)) == 2


def test_a_monitor_of_a_detector():
    model = Detector()
    backend = TorchBackend(model)
    monitor = xaicore.Monitor(model, pictures(3), targets=First(), layer="conv", loggers=[], backend=backend)
    assert len(monitor.sample) == 3
    monitor.step(1)
    monitor.close()

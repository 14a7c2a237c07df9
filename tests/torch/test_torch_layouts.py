"""Inputs whose axes lie otherwise than the framework's models usually have them, against plain autograd."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import relu

import xaicore

X = torch.rand(2, 16, 24, 3, generator=torch.Generator().manual_seed(0))


class Pixels(nn.Module):
    """Dense layers at each pixel of (N, H, W, C): no layer says on which side the channels are."""

    def __init__(self, is_flat=False):
        super().__init__()
        torch.manual_seed(1)
        self.first, self.second, self.head = nn.Linear(3, 8), nn.Linear(8, 12), nn.Linear(12, 3)
        self.is_flat = is_flat
        self.eval()

    def forward(self, x):
        at = self.second(relu(self.first(x.flatten(1, 2) if self.is_flat else x)))
        return self.head(relu(at).flatten(1, -2).mean(1))


class Turned(nn.Module):
    """Takes (N, C, W, H), and swaps the last two before it convolves."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 3)
        self.eval()

    def forward(self, x):
        return self.head(relu(self.conv(x.transpose(2, 3))).mean((2, 3)))


def plain(model, x, layer, dims):
    """Grad-CAM of the predicted class."""
    kept = []
    handle = model.get_submodule(layer).register_forward_hook(lambda module, args, output: kept.append(output))
    best = model(x).max(1).values
    handle.remove()
    (gradient,) = torch.autograd.grad(best.sum(), kept)
    channels = ({1, 2, 3} - set(dims)).pop() if kept[0].ndim == 4 else 2
    return (kept[0] * gradient.mean(dims, keepdim=True)).sum(channels).relu().detach().numpy()


@pytest.mark.parametrize("said", [{}, {"axes": "nhwc"}])
def test_positions_of_the_other_layout_are_asked_for(said):
    """What each message says to type leads to the next, and the last one to the map: it lay over 24 x 3 pixels."""
    model = Pixels()
    with pytest.raises(xaicore.LayerError, match=r"Name one: layer=\.\.\.$"):
        xaicore.explain(model, X)
    asked = r"of size \(24, 3\): the input \(1, 16, 24, 3\) is read as 'nchw', .* Pass input_axes='nhwc'$"
    with pytest.raises(xaicore.LayerError, match=asked):
        xaicore.explain(model, X, layer="second", **said)
    found = xaicore.explain(model, X, layer="second", input_axes="nhwc", **said)
    assert found.heatmaps().shape == (2, 16, 24)
    np.testing.assert_allclose(found.maps, plain(model, X, "second", (1, 2)), atol=1e-7)


def test_tokens_of_the_other_layout_are_asked_for():
    model = Pixels(is_flat=True)
    for grid in (None, (16, 24)):
        with pytest.raises(xaicore.LayerError, match=r"these are its positions if it is 'nhwc'\. Pass input_axes="):
            xaicore.explain(model, X, layer="second", grid=grid, axes="nlc")
    found = xaicore.explain(model, X, layer="second", axes="nlc", input_axes="nhwc", grid=(16, 24))
    np.testing.assert_allclose(found.maps.reshape(2, -1), plain(model, X, "second", (1,)), atol=1e-7)


def test_a_stated_grid_says_that_patches_are_no_pixels_of_the_other_layout():
    """8 x 12 patches are as many as 3 x 32 pixels of (N, H, W, C)."""

    class Patches(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(1)
            self.first, self.head = nn.Linear(48, 8), nn.Linear(8, 3)

        def forward(self, x):
            return self.head(relu(self.first(nn.functional.unfold(x, 4, stride=4).transpose(1, 2))).mean(1))

    model, x = Patches().eval(), torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    found = xaicore.explain(model, x, layer="first", axes="nlc", grid=(8, 12))
    np.testing.assert_allclose(found.maps.reshape(2, -1), plain(model, x, "first", (1,)), atol=1e-7)


@pytest.mark.parametrize("side", [24, 16])
def test_pictures_of_a_model_that_swaps_height_and_width(side):
    """A map lay over pictures of the other way round, stretched, or unnoticed where they are square."""
    model, x = Turned(), X.permute(0, 3, 1, 2)[..., :side].contiguous()
    images = (255 * x.permute(0, 2, 3, 1)).round().byte().numpy()
    shown = xaicore.explain(model, x)
    assert np.array_equal(shown.images, images.swapaxes(1, 2))  # the picture that is convolved
    np.testing.assert_allclose(shown.maps, plain(model, x, "conv", (2, 3)), atol=1e-7)
    with pytest.raises(
        xaicore.InputError, match=r"Pass input_axes='ncwh', and pictures as the model sees them: images"
    ):
        xaicore.explain(model, x, images=images)
    said = xaicore.explain(model, x, images=images.swapaxes(1, 2), input_axes="ncwh")
    assert np.array_equal(said.overlays(), shown.overlays())
    explainer = xaicore.Explainer(
        model, preprocess=lambda picture: (picture.transpose(2, 0, 1) / np.float32(255), picture)
    )
    with pytest.raises(xaicore.InputError, match="the model swaps height and width of its input"):
        explainer(images[0])
    explainer = xaicore.Explainer(
        model,
        input_axes="ncwh",
        preprocess=lambda picture: (picture.transpose(2, 0, 1) / np.float32(255), picture.swapaxes(0, 1)),
    )
    assert np.array_equal(explainer(images[0]).images, images[:1].swapaxes(1, 2))


@pytest.mark.parametrize("window", [8, (8, 16)])
def test_windows_of_a_model_that_swaps_height_and_width(window):
    """Square windows were stitched with each map the other way round; what the message says to type is right."""
    model, x = Turned(), X.permute(0, 3, 1, 2).contiguous()
    with pytest.raises(xaicore.InputError, match=r"of the input as 'nchw', .* such as Explainer\(input_axes='ncwh'\)$"):
        xaicore.sliding(xaicore.Explainer(model), x, window, targets=1)
    turned = window if isinstance(window, int) else window[::-1]
    found = xaicore.sliding(xaicore.Explainer(model, input_axes="ncwh"), x, turned, targets=1)
    own = nn.Sequential(model.conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), model.head)
    other = xaicore.sliding(xaicore.Explainer(own, layer="0"), x.transpose(2, 3).contiguous(), turned, targets=1)
    np.testing.assert_allclose(found.maps, other.maps, atol=1e-7)
    assert found.maps.any()

"""Pictures for PyTorch models: a preprocess that returns tensors, and what calls leave behind."""

import numpy as np
import PIL.Image
import pytest
import torch
from torch_nets import ConvGapDense, gradcam

import xaicore
from xaicore import BackendError, InputError


@pytest.fixture
def photos():
    rng = np.random.default_rng(4)
    return [rng.integers(0, 256, size, np.uint8) for size in ((8, 12, 3), (6, 9, 3), (7, 20, 3))]


def scaled(picture):
    """The upper left corner, normalised: a tensor (3, 6, 9)."""
    return torch.from_numpy(picture[:6, :9].transpose(2, 0, 1).copy()) / 127.5 - 1


TENSORS = {
    "float32": scaled,
    "with its picture": lambda picture: (scaled(picture), torch.from_numpy(picture[:6, :9].copy())),
    "recorded": lambda picture: scaled(picture).requires_grad_(),
    "float64": lambda picture: scaled(picture).double(),
    "array": lambda picture: scaled(picture).numpy(),
    "of a PIL image": lambda picture: scaled(np.asarray(PIL.Image.fromarray(picture))),
}


@pytest.mark.parametrize("name", TENSORS)
def test_maps_are_those_of_the_prepared_pictures(name, photos, unchanged):
    model = ConvGapDense(channels=3)
    x = torch.stack([scaled(picture) for picture in photos])
    explainer = xaicore.Explainer(model, preprocess=TENSORS[name], class_names=["ant", "bee", "cat"], batch_size=2)
    with unchanged(model):
        found = explainer(photos, targets=["cat", "ant", "bee"])
    np.testing.assert_allclose(found.maps, gradcam(model, x, [[2], [0], [1]])[:, 0], rtol=1e-4, atol=1e-7)
    if name == "with its picture":
        np.testing.assert_array_equal(found.images, [picture[:6, :9] for picture in photos])


def test_tensors_are_inputs_also_with_preprocess(photos):
    model = ConvGapDense(channels=3)
    x = torch.stack([scaled(picture) for picture in photos])
    found = xaicore.Explainer(model, preprocess=scaled)(x, targets=1)
    np.testing.assert_allclose(found.maps, gradcam(model, x, [[1]] * 3)[:, 0], rtol=1e-4, atol=1e-7)


def channels_last(picture):
    return scaled(picture).permute(1, 2, 0)


LAST = (
    r"for inputs \(2, 6, 9, 3\) float32: .* Its channels come last: pass x\.permute\(0, 3, 1, 2\)\. These inputs were "
    r"made by the preprocessing channels_last: what it returns is one image of them, without the first axis$"
)


def test_the_model_is_as_before_after_a_mistake(photos, unchanged):
    model = ConvGapDense(channels=3)
    with unchanged(model), pytest.raises(InputError, match=r"which is a batch of one: .* \(3, 6, 9\); return x\[0\]$"):
        xaicore.Explainer(model, preprocess=lambda picture: scaled(picture)[None])(photos)
    with unchanged(model), pytest.raises(BackendError, match=LAST):
        xaicore.Explainer(model, preprocess=channels_last, batch_size=2)(photos)


def test_a_clip_of_one_picture_is_no_batch_of_one(photos):
    """The first convolution has three axes and one channel: (1, 3, 6, 9) is a channel of three small pictures."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv3d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool3d(1), torch.nn.Flatten()
    )
    found = xaicore.Explainer(model, preprocess=lambda picture: scaled(picture)[None])(photos, targets=2)
    wanted = xaicore.explain(model, torch.stack([scaled(picture)[None] for picture in photos]), targets=2)
    np.testing.assert_allclose(found.maps, wanted.maps, rtol=1e-5)

"""Pictures for Keras models: a preprocess that returns the framework's tensors, channels last."""

import keras
import numpy as np
import pytest
from keras_nets import conv_gap_dense, gradcam

import xaicore
from xaicore import InputError


@pytest.fixture
def photos():
    rng = np.random.default_rng(4)
    return [rng.integers(0, 256, size, np.uint8) for size in ((8, 12, 3), (6, 9, 3), (7, 20, 3))]


def scaled(picture):
    return np.float32(picture[:6, :9]) / 127.5 - 1


@pytest.mark.parametrize("returns", [scaled, lambda picture: keras.ops.convert_to_tensor(scaled(picture))])
def test_maps_are_those_of_the_prepared_pictures(returns, photos, unchanged):
    model = conv_gap_dense(channels=3)
    explainer = xaicore.Explainer(model, preprocess=returns, class_names=["ant", "bee", "cat"])
    with unchanged(model):
        found = explainer(photos, targets=["cat", "ant", "bee"])
    x = np.stack([scaled(picture) for picture in photos])
    np.testing.assert_allclose(found.maps, gradcam(model, x, [[2], [0], [1]])[:, 0], rtol=1e-4, atol=1e-6)


def test_a_preprocess_that_returns_a_batch(photos):
    explainer = xaicore.Explainer(conv_gap_dense(channels=3), preprocess=lambda picture: scaled(picture)[None])
    with pytest.raises(InputError, match=r"which is a batch of one: .* \(6, 9, 3\); return x\[0\]$"):
        explainer(photos)

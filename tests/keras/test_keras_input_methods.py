"""Methods on the input of Keras models: a net whose gradients can be written down, its channels last."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import xaicore
from xaicore.methods import method


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 6, 8, 3)).astype(np.float32)


@pytest.fixture
def model() -> keras.Model:
    """A 1 x 1 convolution with ReLU, global average pooling, a dense layer."""
    keras.utils.set_random_seed(1)
    image = keras.Input((6, 8, 3))
    y = keras.layers.Conv2D(5, 1, activation="relu", bias_initializer="normal", name="conv")(image)
    y = keras.layers.GlobalAveragePooling2D()(y)
    return keras.Model(image, keras.layers.Dense(4, name="dense")(y))


def gradient(model: keras.Model, x: np.ndarray, target: int, rule: str = "plain") -> np.ndarray:
    """(N, H, W, C), by hand."""
    kernel, bias = (np.array(w) for w in model.get_layer("conv").get_weights())
    rows = model.get_layer("dense").get_weights()[0][:, target] / 48
    z = x @ kernel[0, 0] + bias
    after = np.broadcast_to(rows, z.shape)
    if rule != "plain":
        after = np.maximum(after, 0)
    if rule != "deconv":
        after = after * (z > 0)
    return after @ kernel[0, 0].T


def test_methods_of_one_pass(model: keras.Model, x: np.ndarray) -> None:
    names = ["gradient", "input-x-gradient", "guided", "deconv"]
    found = xaicore.Explainer(model).compare(x, names, [[3, 0]])
    for k, target in enumerate([3, 0]):
        g = gradient(model, x, target)
        expected = {
            "gradient": np.abs(g).max(-1),
            "input-x-gradient": (g * x).sum(-1),
            "guided": gradient(model, x, target, "guided").sum(-1),
            "deconv": gradient(model, x, target, "deconv").sum(-1),
        }
        for name, maps in expected.items():
            np.testing.assert_allclose(found[name].maps[k::2], maps, atol=1e-5)
            assert found[name].layer == "the input"


def test_integrated_gradients(model: keras.Model, x: np.ndarray) -> None:
    found = xaicore.explain(model, x, 2, method=method("integrated-gradients", steps=40, baseline=0.2))
    path = [gradient(model, 0.2 + (i + 0.5) / 40 * (x - 0.2), 2) for i in range(40)]
    np.testing.assert_allclose(found.maps, (np.mean(path, axis=0) * (x - 0.2)).sum(-1), atol=1e-5)
    scores, start = (keras.ops.convert_to_numpy(model(one))[:, 2] for one in (x, np.full_like(x, 0.2)))
    np.testing.assert_allclose(found.maps.sum(axis=(1, 2)), scores - start, atol=0.02)


def test_smoothgrad_and_guided_gradcam(model: keras.Model, x: np.ndarray) -> None:
    smooth = xaicore.explain(model, x, 1, method=method("smoothgrad", n=6, sigma=0.1)).maps
    spread = np.ptp(x, axis=(1, 2, 3), keepdims=True) * np.float32(0.1)
    noise = [np.random.default_rng(i).standard_normal((1, 3, 6, 8), np.float32).transpose(0, 2, 3, 1) for i in range(6)]
    mean = np.mean([gradient(model, x + spread * one, 1) for one in noise], axis=0)
    np.testing.assert_allclose(smooth, np.abs(mean).max(-1), atol=1e-5)
    both = xaicore.Explainer(model, layer="conv").compare(x, ["guided", "gradcam", "guided-gradcam"], 1)
    np.testing.assert_allclose(both["guided-gradcam"].maps, both["guided"].maps * both["gradcam"].maps, atol=1e-5)


def test_fullgrad(model: keras.Model, x: np.ndarray) -> None:
    """The input's term and that of the convolution, whose bias counts where its ReLU lets it through."""
    found = xaicore.explain(model, x, [[3, 0]], method="fullgrad")
    kernel, bias = (np.array(w) for w in model.get_layer("conv").get_weights())
    is_on = x @ kernel[0, 0] + bias > 0
    for k, target in enumerate([3, 0]):
        rows = model.get_layer("dense").get_weights()[0][:, target] / 48
        expected = np.zeros((2, 6, 8))
        for terms in (gradient(model, x, target) * x, rows * bias * is_on):
            low, high = (bound(abs(terms), axis=(1, 2, 3), keepdims=True) for bound in (np.min, np.max))
            expected += ((abs(terms) - low) / (high - low)).sum(-1)
        np.testing.assert_allclose(found.maps[k::2], expected, atol=1e-4)
    assert found.layer == "the input"

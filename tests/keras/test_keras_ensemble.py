"""Methods and options of several passes on every framework of Keras: inputs with channels last, changed by hand."""

import keras
import numpy as np
import pytest
from keras import layers
from keras_nets import channels_first, conv_gap_dense, mean, pictures, settle, truth

import xaicore


def noise(shape, copy):
    """Of pictures (H, W, C): the same numbers as in a framework with channels first."""
    *size, channels = shape
    normal = np.random.default_rng((0, copy)).standard_normal((channels, *size), dtype=np.float32)
    return np.moveaxis(normal, 0, -1)


def noisy(x, copy, sigma):
    axes = (1, 2, 3)
    return x + sigma * (x.max(axes, keepdims=True) - x.min(axes, keepdims=True)) * noise(x.shape[1:], copy)


def at_relu1(model, x, c):
    """Activations and gradients of class c's logit, (N, C, H, W) float64 each."""
    a, g = truth(model, x, "relu1", np.full((len(x), 1), c))
    return channels_first(a).astype(np.float64), channels_first(g[:, 0]).astype(np.float64)


def plain(model, x, c=1, **options):
    return xaicore.explain(model, x, c, **options).maps


def test_smooth_and_augment(unchanged):
    model, x = conv_gap_dense(channels=3), pictures(3, channels=3)
    with unchanged(model):
        smooth, mirrored = plain(model, x, smooth=(2, 0.3)), plain(model, x, augment="hflip")
    expected = (plain(model, noisy(x, 0, 0.3)) + plain(model, noisy(x, 1, 0.3))) / 2
    np.testing.assert_allclose(smooth, expected, rtol=1e-4, atol=1e-6)
    other = np.flip(plain(model, np.ascontiguousarray(np.flip(x, 2))), 2)
    np.testing.assert_allclose(mirrored, (plain(model, x) + other) / 2, rtol=1e-4, atol=1e-6)
    for n in range(3):
        single = plain(model, x[n : n + 1], smooth=(2, 0.3))
        np.testing.assert_allclose(smooth[n : n + 1], single, rtol=1e-4, atol=1e-6)


def test_whole_numbers_are_rounded():
    inputs = keras.Input((6, 9, 3), dtype="uint8")
    features = layers.Conv2D(4, 3, padding="same", activation="relu")(layers.Rescaling(1 / 255)(inputs))
    model = settle(keras.Model(inputs, layers.Dense(3)(mean(features))))
    x = np.random.default_rng(0).integers(0, 256, (2, 6, 9, 3), np.uint8)
    changed = np.clip(np.rint(noisy(x.astype(np.float32), 0, 0.2)), 0, 255).astype(np.uint8)
    np.testing.assert_allclose(plain(model, x, smooth=(1, 0.2)), plain(model, changed), rtol=1e-4, atol=1e-6)


def test_smoothgradcam_plus_plus_is_its_formula(unchanged):
    model, x = conv_gap_dense(channels=3), pictures(2, channels=3)
    method = xaicore.method("smoothgradcam++", n=3, sigma=0.3)
    with unchanged(model):
        maps = plain(model, x, method=method, layer="relu1")
    a, _ = at_relu1(model, x, 1)
    copies = [noisy(x, copy, 0.3).astype(np.float32) for copy in range(3)]
    g = np.stack([at_relu1(model, one, 1)[1] for one in copies])
    d1, d2, d3 = (np.mean(g**p, axis=0) for p in (1, 2, 3))
    below = 2 * d2 + a.sum((2, 3), keepdims=True) * d3
    alpha = np.where(below == 0, 0, d2 / np.where(below == 0, 1, below))
    expected = np.maximum(np.einsum("nc,nchw->nhw", (np.maximum(d1, 0) * alpha).sum((2, 3)), a), 0)
    np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-5 * expected.max())
    assert expected.any()


@pytest.mark.parametrize("end", [None, layers.Softmax()])
def test_finercam_is_its_formula(end, unchanged):
    model, x = conv_gap_dense(6, channels=3, end=end), pictures(2, channels=3)
    with unchanged(model):
        maps = plain(model, x, 2, method=xaicore.method("finercam", similar=2), layer="relu1")
    logits = conv_gap_dense(6, channels=3)
    z = np.asarray(keras.ops.convert_to_numpy(logits(x)))
    for n in range(2):
        similar = sorted((d for d in range(6) if d != 2), key=lambda d: abs(z[n, d] - z[n, 2]))[:2]
        (a,), (own,) = at_relu1(logits, x[n : n + 1], 2)
        g = own - np.mean([at_relu1(logits, x[n : n + 1], d)[1][0] for d in similar], axis=0)
        expected = np.maximum((g.mean((1, 2))[:, None, None] * a).sum(0), 0)
        np.testing.assert_allclose(maps[n], expected, rtol=1e-3, atol=1e-5)


def test_a_stop_in_the_seventh_pass(unchanged):
    stops = []

    class Stop(xaicore.Target):
        def aim(self, outputs, kind):
            return xaicore.targets.Classes(1).aim(outputs, kind)

    class Method:
        needs = ("activations", "gradients_again")
        __name__ = "stopping"

        def __call__(self, evidence):
            for copy in range(20):
                stops.append(copy)
                if copy == 6:
                    raise KeyboardInterrupt
                evidence.gradients_again(evidence.pictures * 0.5)

    model, x = conv_gap_dense(), pictures()
    xaicore.explain(model, x)
    with unchanged(model), pytest.raises(KeyboardInterrupt):
        xaicore.explain(model, x, Stop(), method=Method())
    assert len(stops) == 7

"""Methods of many passes on Keras: against plain loops, the model as before, batches of one size."""

import keras
import numpy as np
import pytest
from keras import layers
from keras_nets import body, conv_gap_dense, features, mean, numpy, pictures, rows_of, settle

import xaicore
from xaicore.methods import method

MANY = [
    method("scorecam"),
    method("iscam", samples=2),
    method("sscam", samples=2),
    method("ablationcam"),
    method("reciprocam"),
    method("rise", masks=12, grid=2),
]


def logits(model, a):
    """What follows relu2 of `conv_gap_dense`, for activations (N, 5, 6, 9)."""
    return a.mean((2, 3)) @ rows_of(model).T + numpy(model.get_layer("dense").bias)


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_ablationcam_is_a_loop_over_channels(activation):
    model, x = conv_gap_dense(activation=activation), pictures(3)
    a = features(model, x)
    y = logits(model, a)[:, 2]
    expected = np.zeros((3, 6, 9))
    for c in range(5):
        without = a.copy()
        without[:, c] = 0
        expected += ((y - logits(model, without)[:, 2]) / np.abs(y))[:, None, None] * a[:, c]
    found = xaicore.explain(model, x, 2, method="ablationcam", layer="relu2", batch_size=3)
    np.testing.assert_allclose(found.maps, np.maximum(expected, 0), rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("batch_size", [7, 1000])
def test_reciprocam_is_a_loop_over_positions(batch_size):
    model, x = conv_gap_dense(), pictures()
    a = features(model, x)
    scores = np.empty((2, 6, 9))
    for row, column in np.ndindex(6, 9):
        kept = np.zeros_like(a)
        kept[:, :, row, column] = a[:, :, row, column]
        z = np.exp(logits(model, kept))
        scores[:, row, column] = z[:, 1] / z.sum(axis=1)
    low, high = (limit(scores, axis=(1, 2), keepdims=True) for limit in (np.min, np.max))
    found = xaicore.explain(model, x, 1, method="reciprocam", layer="relu2", batch_size=batch_size)
    np.testing.assert_allclose(found.maps, (scores - low) / (high - low), atol=1e-4)


def test_scorecam_is_a_loop_over_channels():
    model, x = conv_gap_dense(), pictures()
    a = features(model, x)
    low, high = (limit(a, axis=(2, 3), keepdims=True) for limit in (np.min, np.max))
    masks = (a - low) / np.where(high > low, high - low, 1)
    z = np.stack([numpy(model(x * masks[:, c, ..., None].astype(np.float32)))[:, 1] for c in range(5)], axis=1)
    weights = np.where((high > low)[..., 0, 0], np.exp(z), 0)
    expected = np.einsum("nc,nchw->nhw", weights / weights.sum(axis=1, keepdims=True), a)
    found = xaicore.explain(model, x, 1, method="scorecam", layer="relu2")
    np.testing.assert_allclose(found.maps, np.maximum(expected, 0), rtol=1e-4, atol=1e-5 * expected.max())


@pytest.mark.parametrize("one", MANY, ids=lambda one: one.name)
def test_a_model_of_one_batch_size(one):
    def build(size):
        i = keras.Input(batch_shape=(size, 6, 9, 1))
        return settle(keras.Model(i, layers.Dense(3, name="dense")(mean(body(i)))))

    x = pictures(4)
    found = xaicore.explain(build(4), x, 1, method=one, layer="relu2" if one.has_layer else None)
    expected = xaicore.explain(build(None), x, 1, method=one, layer="relu2" if one.has_layer else None)
    np.testing.assert_allclose(found.maps, expected.maps, rtol=1e-4, atol=1e-5 * expected.maps.max())


@pytest.mark.parametrize("one", MANY, ids=lambda one: one.name)
def test_the_model_is_as_before(unchanged, one):
    model = conv_gap_dense()
    with unchanged(model):
        xaicore.explain(model, pictures(), [[0, 1]], method=one)


@pytest.mark.parametrize("one", MANY, ids=lambda one: one.name)
def test_the_model_is_as_before_after_an_interrupt(unchanged, one):
    def interrupt(done, total):
        if done >= 5:
            raise KeyboardInterrupt

    model = conv_gap_dense()
    with unchanged(model), pytest.raises(KeyboardInterrupt):
        xaicore.explain(model, pictures(), 1, method=one, batch_size=1, progress=interrupt)

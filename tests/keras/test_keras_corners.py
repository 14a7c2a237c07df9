"""Models that change between two explanations, and ends, layouts and loops that mislead."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras_arranged import KerasBackend
from keras_nets import numpy

import xaicore
from xaicore_keras.traces import traces_of

X = np.random.default_rng(0).normal(size=(3, 10, 8, 1)).astype("float32")


def net(end=None, **dense):
    """conv - relu - mean - dense, and whatever `end` makes of the logits."""
    i = keras.Input((10, 8, 1))
    maps = layers.Conv2D(5, 3, padding="same", activation="relu", name="conv")(i)
    y = layers.Dense(3, name="dense", **dense)(layers.GlobalAveragePooling2D()(maps))
    return keras.Model(i, y if end is None else end(y))


def outputs(model, x=X):
    return numpy(model(ops.convert_to_tensor(x), training=False))


# -- a model that changes after it has been explained


def test_a_normalisation_that_is_adapted_again():
    normalisation = layers.Normalization(axis=-1)
    normalisation.adapt(X)
    i = keras.Input((10, 8, 1))
    model = keras.Model(i, layers.Dense(3)(layers.Flatten()(layers.Conv2D(2, 3)(normalisation(i)))))
    before = KerasBackend(model).predict(X)
    normalisation.adapt(5 * X + 2)
    after = KerasBackend(model).predict(X)
    assert np.abs(after - before).max() > 0.1
    np.testing.assert_allclose(after, outputs(model), rtol=1e-5, atol=1e-6)


def test_a_layer_without_weights_that_is_added():
    model = keras.Sequential(
        [keras.Input((10, 8, 1)), layers.Conv2D(5, 3), layers.GlobalAveragePooling2D(), layers.Dense(3)]
    )
    assert KerasBackend(model).capture(X, ()).link is None
    model.add(layers.Activation("sigmoid", name="end"))
    explanation = xaicore.explain(model, X, [[0, 1, 2]] * 3)
    np.testing.assert_allclose(explanation.scores.reshape(3, 3), outputs(model), rtol=1e-5)
    assert KerasBackend(model).layers(X)[-1].name == "end"


def test_an_activation_or_a_precision_that_is_replaced():
    model = net()
    KerasBackend(model).predict(X)
    model.get_layer("conv").activation = keras.activations.tanh
    np.testing.assert_allclose(KerasBackend(model).predict(X), outputs(model), rtol=1e-5, atol=1e-6)
    model.get_layer("conv").dtype_policy = "mixed_float16"
    np.testing.assert_allclose(KerasBackend(model).predict(X), outputs(model), rtol=2e-3, atol=1e-3)


def test_the_last_used_traces_are_kept():
    i = keras.Input((None, None, 1))
    model = keras.Model(i, layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3)(i))))
    for _ in range(2):
        for height in range(8, 48):
            KerasBackend(model).layers(np.zeros((1, height, 8, 1), "float32"))
    assert traces_of(model).made == 40


def test_a_smaller_batch_of_a_model_whose_images_depend_on_each_other():
    """It is not filled up with copies, which would change the mean of the batch."""
    i = keras.Input((10, 8, 1))
    maps = layers.Conv2D(5, 3, name="conv")(i)
    y = layers.Dense(3)(layers.GlobalAveragePooling2D()(maps - ops.mean(maps, axis=0) / 2))
    model = keras.Model(i, y)
    weights = model.layers[-1].get_weights()[0]
    for count in (3, 2, 1):
        found = KerasBackend(model).capture(X[:count], ["conv"], lambda *_, n=count: np.tile(np.eye(3), (n, 1, 1)))
        np.testing.assert_allclose(found.outputs, outputs(model, X[:count]), rtol=1e-5, atol=1e-6)
        expected = weights.T * (1 - 0.5 / count) / 48  # of an image's own scores
        np.testing.assert_allclose(found.gradients["conv"][..., 4, 3], np.tile(expected, (count, 1, 1)), rtol=1e-4)


# -- ends that mislead


class Halved(layers.Dense):
    """Does more after its activation than Dense does."""

    def call(self, x):
        return 0.5 * super().call(x)


def test_a_users_layer_may_do_more_after_its_activation():
    i = keras.Input((10, 8, 1))
    y = layers.GlobalAveragePooling2D()(layers.Conv2D(5, 3)(i))
    model = keras.Model(i, Halved(3, activation="softmax")(y))
    given = KerasBackend(model).capture(X, ())
    assert given.link is None
    np.testing.assert_allclose(given.outputs, outputs(model), rtol=1e-5)


def test_a_softmax_with_a_mask():
    def masked(z):
        return layers.Softmax()(z, mask=ops.concatenate([z[:, :1] > 1e9, z[:, 1:] < 1e9], axis=1))

    model = net(masked)
    explanation = xaicore.explain(model, X, [[1, 2]] * 3)
    assert explanation.outputs_kind == "probabilities"
    assert (explanation.predicted > 0).all()
    np.testing.assert_allclose(explanation.scores.reshape(3, 2), outputs(model)[:, 1:], rtol=1e-5)


def test_a_softmax_that_is_called_by_keyword():
    model = net(lambda z: layers.Softmax()(inputs=z))
    given = KerasBackend(model).capture(X, ())
    assert (given.outputs_kind, given.link) == ("logits", "softmax")
    np.testing.assert_allclose(
        given.outputs, outputs(keras.Model(model.input, model.get_layer("dense").output)), rtol=1e-5
    )


def test_a_softmax_over_parts_of_the_outputs():
    def parts(z):
        return layers.Flatten()(layers.Softmax()(layers.Reshape((3, 4))(layers.Dense(12, name="twelve")(z))))

    model = net(parts)
    given = KerasBackend(model).capture(X, ())
    assert given.link is None
    np.testing.assert_allclose(given.outputs, outputs(model), rtol=1e-5)


def test_cam_has_no_evidence_in_a_dead_layer():
    model = net()
    conv = model.get_layer("conv")
    conv.set_weights([0 * weight for weight in conv.get_weights()])
    with pytest.raises(xaicore.MethodError, match=r"^layer 'conv' is zero for every image"):
        xaicore.explain(model, X, method="cam")


# -- layouts that are turned


def test_permute_turns_the_channels_with_it():
    def turned(turn):
        i = keras.Input((10, 8, 1))
        maps = turn(layers.Conv2D(5, 3, padding="same", name="conv")(i))
        return keras.Model(i, layers.Dense(3)(layers.Flatten()(maps)))

    for turn in (layers.Permute((3, 1, 2), name="turned"), lambda x: ops.transpose(x, (0, 3, 1, 2))):
        model = turned(turn)
        found = [layer for layer in KerasBackend(model).layers(X) if layer.spatial]
        assert [layer.shape for layer in found] == [(1, 5, 10, 8)] * 2
        given = KerasBackend(model).capture(X, [layer.name for layer in found])
        np.testing.assert_array_equal(*given.activations.values())


def test_a_picture_with_its_channels_first_that_the_model_turns():
    i = keras.Input((1, 10, 8))
    maps = layers.Conv2D(5, 3, padding="same", name="conv")(layers.Permute((2, 3, 1))(i))
    model = keras.Model(i, layers.Dense(3)(layers.GlobalAveragePooling2D()(maps)))
    explanation = xaicore.explain(model, np.moveaxis(X, -1, 1))
    assert (explanation.layer, explanation.input_size) == ("conv", (10, 8))
    assert explanation.heatmaps().shape == (3, 10, 8)


# -- building


def test_a_built_sequential_with_a_layer_that_nothing_uses():
    class Block(layers.Layer):
        def __init__(self):
            super().__init__(name="block")
            self.conv, self.unused = layers.Conv2D(4, 3), layers.Dense(2)

        def build(self, shape):
            self.conv.build(shape)

        def call(self, x):
            return self.conv(x)

    model = keras.Sequential([keras.Input((None, None, 1)), Block(), layers.GlobalAveragePooling2D(), layers.Dense(3)])
    graph = model._functional
    assert xaicore.explain(model, X).layer == "block"
    assert model._functional is graph


def test_resume_in_a_model_that_wants_to_know_its_batch_size():
    class Static(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv, self.dense = layers.Conv2D(4, 3, name="conv"), layers.Dense(3)

        def call(self, x):
            return self.dense(ops.mean(ops.reshape(self.conv(x), (int(x.shape[0]), 48, 4)), axis=1))

    model = Static()
    model(X)
    backend = KerasBackend(model)
    given = backend.capture(X, ["conv"])
    for repeats in (1, 2):
        again = backend.resume(X, "conv", np.repeat(given.activations["conv"], repeats, 0))
        np.testing.assert_allclose(again, np.repeat(given.outputs, repeats, 0), rtol=1e-5, atol=1e-6)


# -- other frameworks' tensors, other backends


def test_another_frameworks_tensor_that_records_gradients():
    torch = pytest.importorskip("torch")
    model = net()
    ours = xaicore.explain(model, X, 1)
    theirs = xaicore.explain(model, torch.from_numpy(X).requires_grad_(), 1)
    np.testing.assert_array_equal(ours.maps, theirs.maps)


def test_the_torch_plugin_declines_keras_models():
    pytest.importorskip("torch")
    with pytest.raises(xaicore.PluginError, match=r"'torch' from xaicore .* does not accept a keras"):
        xaicore.explain(net(), X, backend="torch")

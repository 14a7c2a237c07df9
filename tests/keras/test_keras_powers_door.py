"""The powers as methods meet them: channels first, prefix tokens kept, scores of the targets."""

import numpy as np
import pytest
from keras import layers, ops
from keras_nets import CLOSE, conv_gap_dense, functional, numpy, pictures, split
from keras_rules import by_loops, input_gradients

import xaicore

CLASSES = [[1, 0], [2, 1]]


class ClassToken(layers.Layer):
    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="random_normal", name="token")

    def call(self, x):
        return ops.concatenate([ops.repeat(self.token, ops.shape(x)[0], 0), x], axis=1)


def transformer(x):
    """Tokens of 2 x 3 patches behind a class token, of which all are read."""
    x = layers.Conv2D(5, 3, strides=3, name="patches")(x)
    x = ClassToken(name="tokens")(layers.Reshape((6, 5))(x))
    x = layers.LayerNormalization(name="norm")(x + layers.MultiHeadAttention(1, 5)(x, x))
    return layers.Dense(3)(ops.mean(layers.Dense(6, activation="gelu")(x), axis=1))


def evidence_of(model, x, layer, *needs):
    """What a method with these needs is handed."""
    handed = []

    def keep(evidence):
        handed.append(evidence)
        return np.ones((*evidence.aim.classes.shape, *evidence.size))

    keep.needs = needs
    xaicore.Explainer(model, keep, layer)(x, CLASSES)
    return handed[0]


@pytest.mark.parametrize(
    ("net", "layer", "prefix"),
    [(None, "conv1", 0), (None, "relu2", 0), (transformer, "norm", 1), (transformer, "patches", 0)],
)
def test_scores_of_changed_activations(net, layer, prefix):
    model, x = conv_gap_dense() if net is None else functional(net), pictures()
    evidence = evidence_of(model, x, layer, "activations", "resume")
    channels = evidence.activations.shape[1]

    def without(n, rows):
        chosen = np.arange(channels)[rows]
        changed = np.repeat(evidence.activations[n : n + 1], len(chosen), axis=0)
        changed[np.arange(len(chosen)), chosen] = 0
        return changed

    scores = evidence.resumed(channels, without)
    a, rest = split(model, x, layer)
    for c in range(channels):
        changed = numpy(a).copy()
        changed[:, prefix:, ..., c] = 0
        outputs = numpy(rest(ops.convert_to_tensor(changed)))
        np.testing.assert_allclose(scores[:, c], np.take_along_axis(outputs, np.array(CLASSES), 1), **CLOSE)


def test_gradients_of_pictures():
    model, x = conv_gap_dense(channels=3), pictures(channels=3)
    evidence = evidence_of(model, x, None, "gradients", "input_gradients", "guided", "deconv")
    for rule in ("plain", "guided", "deconv"):
        truth = np.moveaxis(by_loops(model, x, CLASSES, rule), -1, 2)
        np.testing.assert_allclose(evidence.input_gradients(rule), truth, **CLOSE)
        moved = np.moveaxis(by_loops(model, x + 0.5, CLASSES, rule), -1, 2)
        np.testing.assert_allclose(evidence.input_gradients(rule, evidence.pictures + 0.5), moved, **CLOSE)


def test_gradients_of_pictures_of_a_transformer():
    model, x = functional(transformer), pictures()
    found = evidence_of(model, x, None, "input_gradients").input_gradients()
    np.testing.assert_allclose(found, np.moveaxis(input_gradients(model, x, CLASSES), -1, 2), **CLOSE)


def test_second_derivatives_are_arranged_as_activations():
    model, x = functional(transformer), pictures()
    evidence = evidence_of(model, x, "norm", "activations", "second")
    raw = evidence.passes.backend.second(x, "norm", lambda outputs, kind: evidence.aim.direction)
    assert evidence.second.shape == (2, 2, 5, 2, 3)
    np.testing.assert_allclose(evidence.second, np.moveaxis(raw[:, :, 1:].reshape(2, 2, 2, 3, 5), -1, 2), **CLOSE)

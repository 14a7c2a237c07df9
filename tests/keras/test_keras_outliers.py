"""Outlier tokens are left out of the evidence on every framework of Keras."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras_nets import channels_first, pictures, settle, truth

import xaicore

FACTORS = np.ones((1, 6, 1), "float32")
FACTORS[0, 4] = 40  # the token at row 1, column 1


class Lengthened(layers.Layer):
    """A block that makes one token of each picture far longer."""

    def __init__(self, **options):
        super().__init__(**options)
        self.dense = layers.Dense(8, activation="tanh")

    def call(self, t):
        return (t + self.dense(t)) * ops.convert_to_tensor(FACTORS)


class Tokens(keras.Model):
    """2 x 3 patches, a block, a norm, and the mean of the tokens."""

    def __init__(self):
        super().__init__()
        self.patches = layers.Conv2D(8, 3, 3, name="patches")
        self.block = Lengthened(name="block")
        self.norm = layers.LayerNormalization(name="norm")
        self.dense = layers.Dense(3, name="dense")
        self(pictures())
        settle(self)

    def call(self, x):
        return self.dense(ops.mean(self.norm(self.block(ops.reshape(self.patches(x), (-1, 6, 8)))), axis=1))


@pytest.mark.parametrize("layer", ["norm", "block"])
def test_outliers_are_left_out(layer):
    model, x = Tokens(), pictures()
    masked = {}
    for c in range(3):
        activations, gradients = truth(model, x, layer, [[c], [c]])
        a, g = (channels_first(one.reshape(2, 2, 3, 8)) for one in (activations, gradients))
        usual = np.maximum((a * g.mean((2, 3), keepdims=True)).sum(1), 0)
        np.testing.assert_allclose(xaicore.explain(model, x, c, layer=layer).maps, usual, rtol=1e-3, atol=1e-5)
        a, g = a.copy(), g.copy()
        a[:, :, 1, 1] = g[:, :, 1, 1] = 0
        expected = np.maximum((a * g.mean((2, 3), keepdims=True)).sum(1), 0)
        explanation = xaicore.explain(model, x, c, layer=layer, outliers="mask")
        np.testing.assert_allclose(explanation.maps, expected, rtol=1e-3, atol=1e-5)
        masked[c] = usual[:, 1, 1] > 0
    assert np.any(list(masked.values()))  # without the option the token counts

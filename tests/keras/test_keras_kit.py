"""The contract of backends, checked on Keras' as a stranger's author would."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers
from keras_state import fingerprint

import xaicore_keras
from xaicore import testing


class Tokens(layers.Layer):
    """Patches behind a class token, with their positions."""

    def __init__(self, net: testing.TokenNet) -> None:
        super().__init__(name="tokens")
        self.first = self.add_weight(shape=(1, 1, 10), name="first")
        self.positions = self.add_weight(shape=(13, 10), name="positions")
        self.first.assign(net.class_token[None, None])
        self.positions.assign(net.positions)

    def call(self, patches: Any) -> Any:
        rows = keras.ops.reshape(patches, (-1, 12, 10))
        first = keras.ops.repeat(self.first, keras.ops.shape(rows)[0], axis=0)
        return keras.ops.concatenate([first, rows], axis=1) + self.positions


def convolution(name: str, kernel: np.ndarray, bias: np.ndarray, stride: int = 1) -> layers.Layer:
    channels, taken, *size = kernel.shape
    layer = layers.Conv2D(channels, size, stride, "same" if stride == 1 else "valid", name=name)
    layer.build((None, None, None, taken))
    layer.set_weights([kernel.transpose(2, 3, 1, 0), bias])
    return layer


def dense(weight: np.ndarray, bias: np.ndarray, activation: str | None = None) -> layers.Layer:
    layer = layers.Dense(len(weight), activation, name="dense")
    layer.build((None, weight.shape[1]))
    layer.set_weights([weight.T, bias])
    return layer


def attention(net: testing.TokenNet) -> layers.Layer:
    layer = layers.MultiHeadAttention(2, 5, use_bias=False, name="attention")
    layer.build((None, 13, 10), (None, 13, 10))
    inward = [weight.T.reshape(10, 2, 5) for weight in (net.query, net.key, net.value)]
    layer.set_weights([*inward, net.output.T.reshape(2, 5, 10)])
    return layer


class TestKeras(testing.BackendTests):
    plugin = xaicore_keras
    frameworks = ("keras", "tensorflow", "jax", "torch")
    lacks = {} if keras.backend.backend() in frameworks else {"gradients": "Keras' backend only runs forward"}

    def build_conv(self, net: testing.ConvNet) -> testing.Built:
        x = keras.Input((6, 8, 3))
        a = layers.ReLU(name="relu1")(convolution("conv1", net.conv1, net.bias1)(x))
        a = layers.ReLU(name="relu2")(convolution("conv2", net.conv2, net.bias2)(a))
        y = dense(net.dense, net.bias, net.link)(layers.GlobalAveragePooling2D(name="pool")(a))
        names = net.layers if net.link is None else net.layers[:-1]
        return keras.Model(x, y), {name: name for name in names}

    def build_tokens(self, net: testing.TokenNet) -> testing.Built:
        x = keras.Input((12, 16, 3))
        tokens = Tokens(net)(convolution("patches", net.patches, net.patches_bias, 4)(x))
        norm = layers.LayerNormalization(epsilon=net.epsilon, name="norm")
        norm.build((None, 13, 10))
        norm.set_weights([net.scale, net.shift])
        taken = norm(tokens)
        mixed = layers.Add(name="mixed")([tokens, attention(net)(taken, taken)])
        return keras.Model(x, dense(net.dense, net.bias)(mixed[:, 0])), {name: name for name in net.layers}

    def build_pair(self, net: testing.PairNet) -> testing.Built:
        inputs = [keras.Input((6, 8, 3)), keras.Input((7, 9, 3))]
        shared, relu = convolution("shared", net.shared, net.shared_bias), layers.ReLU(name="relu")
        means = [keras.ops.mean(relu(shared(x)), axis=(1, 2)) for x in inputs]
        y = dense(net.dense, net.bias)(layers.Concatenate()(means))
        return keras.Model(inputs, y), {name: name for name in ("shared", "relu", "dense")}

    def to_inputs(self, picture: np.ndarray) -> np.ndarray:
        return picture.transpose(0, 2, 3, 1)

    def all_inputs(self, *pictures: np.ndarray) -> Any:
        """Several inputs are a list."""
        each = [self.to_inputs(picture) for picture in pictures]
        return each[0] if len(each) == 1 else each

    def state(self, model: Any) -> Any:
        return fingerprint(model)

"""Layers as users write them, for the nets of the kit: restless ones, and attention out of single operations."""

from __future__ import annotations

import random
from typing import Any

import keras
import numpy as np
from keras import layers

from xaicore import testing


def dense(
    weight: np.ndarray, bias: np.ndarray | None = None, activation: str | None = None, name: str = "dense"
) -> layers.Layer:
    layer = layers.Dense(len(weight), activation, name=name, use_bias=bias is not None)
    layer.build((None, weight.shape[1]))
    layer.set_weights([one for one in (weight.T, bias) if one is not None])
    return layer


class Restless(layers.Layer):
    """Passes pictures on; draws from every generator, counts its calls, and adds a loss, as layers of users do."""

    def __init__(self) -> None:
        super().__init__(name="restless")
        self.calls = self.add_weight(shape=(), initializer="zeros", name="calls", trainable=False)
        self.seeds = keras.random.SeedGenerator(0)
        self.last = None

    def call(self, x: Any) -> Any:
        self.last = random.random() + np.random.rand()
        keras.random.uniform((1,), seed=self.seeds)
        self.calls.assign(self.calls + 1)
        self.add_loss(keras.ops.mean(x))
        return x


class OpenAttention(layers.Layer):
    """Two heads, by "sums" of products, by matrix "products", with a "layer" for the softmax, or "fused"."""

    def __init__(self, net: testing.TokenNet, form: str) -> None:
        super().__init__(name=f"by_{form}")
        each = (net.query, net.key, net.value, net.output)
        self.inward = [dense(weight, name=part) for weight, part in zip(each, ("q", "k", "v", "out"), strict=True)]
        self.form, self.softmax = form, layers.Softmax() if form == "layer" else keras.ops.softmax

    def call(self, tokens: Any) -> Any:
        ops = keras.ops
        q, k, v = (ops.reshape(one(tokens), (-1, 13, 2, 5)) for one in self.inward[:3])
        if self.form == "fused":
            mixed = ops.dot_product_attention(q, k, v)
        elif self.form == "sums":
            weights = ops.softmax(ops.einsum("bkhd, bqhd -> bhqk", k, q * 5**-0.5), axis=3)
            mixed = ops.einsum("bhqk,bkhd->bqhd", weights, v)
        else:
            q, k, v = (ops.transpose(one, (0, 2, 1, 3)) for one in (q, k, v))
            weights = self.softmax(ops.matmul(q * 5**-0.5, ops.transpose(k, (0, 1, 3, 2))))
            mixed = ops.transpose(ops.matmul(weights, v), (0, 2, 1, 3))
        return self.inward[3](ops.reshape(mixed, (-1, 13, 10)))


class BiasedAttention(layers.Layer):
    """Two heads that share keys and values; a bias is added to the scores."""

    def __init__(self, net: testing.TokenNet) -> None:
        super().__init__(name="biased")
        each = {"q": net.query, "k": net.key[:5], "v": net.value[:5], "out": net.output}
        self.inward = [dense(weight, name=part) for part, weight in each.items()]
        self.bias = net.mask(13)[None]

    def call(self, tokens: Any) -> Any:
        q, k, v = (
            keras.ops.reshape(one(tokens), (-1, 13, n, 5)) for one, n in zip(self.inward, (2, 1, 1), strict=False)
        )
        if keras.backend.backend() == "tensorflow":  # which repeats no heads
            k, v = (keras.ops.repeat(one, 2, axis=2) for one in (k, v))
        mixed = keras.ops.dot_product_attention(q, k, v, bias=keras.ops.convert_to_tensor(self.bias))
        return self.inward[3](keras.ops.reshape(mixed, (-1, 13, 10)))


class Shares(layers.Layer):
    """Exponentials, divided by their sum."""

    def call(self, x: Any) -> Any:
        e = keras.ops.exp(x)
        return e / keras.ops.sum(e, axis=-1, keepdims=True)


class Lines(layers.Layer):
    """What patches (N, lines, T, 10) attend to along their lines, in single operations, added to them."""

    def __init__(self, along: Any) -> None:
        super().__init__()
        each = {"q": along.query, "k": along.key, "v": along.value, "out": along.output}
        self.inward = [dense(weight, name=part) for part, weight in each.items()]

    def call(self, patches: Any) -> Any:
        ops, (_, lines, length, _) = keras.ops, patches.shape
        q, k, v = (ops.swapaxes(ops.reshape(one(patches), (-1, length, 2, 5)), 1, 2) for one in self.inward[:3])
        weights = ops.softmax(ops.matmul(q, ops.swapaxes(k, 2, 3)) / 5**0.5, axis=-1)
        mixed = ops.reshape(ops.swapaxes(ops.matmul(weights, v), 1, 2), (-1, lines, length, 10))
        return patches + self.inward[3](mixed)


class Pair(keras.Model):
    """One convolution for two pictures, which are arguments."""

    def __init__(self, shared: layers.Layer, relu: layers.Layer, last: layers.Layer) -> None:
        super().__init__(name="pair")
        self.shared, self.relu, self.last = shared, relu, last

    def call(self, first: Any, second: Any, training: bool = False) -> Any:
        means = [keras.ops.mean(self.relu(self.shared(one)), axis=(1, 2)) for one in (first, second)]
        return self.last(keras.ops.concatenate(means, axis=1))

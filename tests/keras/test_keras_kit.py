"""The contract of backends, checked on Keras' as a stranger's author would."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers
from keras_kit_layers import BiasedAttention, Lines, OpenAttention, Pair, Restless, Shares, dense
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


class Positions(layers.Layer):
    """Patches with their positions."""

    def __init__(self, net: testing.CausalNet) -> None:
        super().__init__(name="tokens")
        self.positions = self.add_weight(shape=(12, 10), name="positions")
        self.positions.assign(net.positions)

    def call(self, patches: Any) -> Any:
        return keras.ops.reshape(patches, (-1, 12, 10)) + self.positions


class Mixed(layers.Layer):
    """Channels that are mixed by a softmax of their products."""

    def call(self, x: Any) -> Any:
        products = keras.ops.matmul(keras.ops.swapaxes(x, 1, 2), x) / 12
        return keras.ops.matmul(x, keras.ops.swapaxes(keras.ops.softmax(products, axis=-1), 1, 2))


class Gated(layers.Layer):
    """Channels that are weighed by their softmax."""

    def call(self, tokens: Any) -> Any:
        return tokens * keras.ops.softmax(tokens, axis=-1)


class Centred(layers.Layer):
    """What images have beyond half of the mean of their batch."""

    def call(self, x: Any) -> Any:
        return x - keras.ops.mean(x, axis=0) / 2


class Joined(layers.Layer):
    """Patches of both halves, then words."""

    def call(self, left: Any, right: Any, words: Any) -> Any:
        rows = [keras.ops.reshape(one, (-1, 12, 10)) for one in (left, right)]
        return keras.ops.concatenate([*rows, words], axis=1)


class Queries(layers.Layer):
    """Weights alone, for each image."""

    def __init__(self, net: testing.QueriesNet) -> None:
        super().__init__(name="queries")
        self.rows = self.add_weight(shape=(1, 3, 10), name="rows")
        self.rows.assign(net.queries[None])

    def call(self, tokens: Any) -> Any:
        return keras.ops.repeat(self.rows, keras.ops.shape(tokens)[0], axis=0)


def convolution(
    name: str, kernel: np.ndarray, bias: np.ndarray | None = None, stride: int = 1, first: bool = False, **more: Any
) -> layers.Layer:
    (channels, taken, *size), padding = kernel.shape, "same" if stride == 1 else "valid"
    layout = "channels_first" if first else "channels_last"
    layer = layers.Conv2D(channels, size, stride, padding, layout, name=name, use_bias=bias is not None, **more)
    layer.build((None, taken, None, None) if first else (None, None, None, taken))
    layer.set_weights([one for one in (kernel.transpose(2, 3, 1, 0), bias) if one is not None])
    return layer


def attention(net: testing.TokenNet | testing.QueriesNet, name: str) -> layers.Layer:
    heads, size = net.heads, 10 // net.heads
    layer = layers.MultiHeadAttention(heads, size, use_bias=False, name=name)
    layer.build((None, None, 10), (None, None, 10))
    inward = [weight.T.reshape(10, heads, size) for weight in (net.query, net.key, net.value)]
    layer.set_weights([*inward, net.output.T.reshape(heads, size, 10)])
    return layer


def norm(net: testing.ResidualNet, name: str) -> layers.Layer:
    layer, own = layers.BatchNormalization(epsilon=net.epsilon, name=name), net.norms[name]
    layer.build((None, None, None, 5))
    layer.set_weights([own[part] for part in ("scale", "shift", "mean", "variance")])
    return layer


def patched(net: testing.TokenNet, x: Any) -> Any:
    return Tokens(net)(convolution("patches", net.patches, net.patches_bias, 4)(x))


def attended(
    net: testing.TokenNet, tokens: Any, name: str, inner: layers.Layer | None = None, mask: np.ndarray | None = None
) -> Any:
    """A block, with Keras' own attention, which may take a mask, or with this layer in its place."""
    layer = layers.LayerNormalization(epsilon=net.epsilon, name=f"{name}_norm")
    layer.build((None, None, 10))
    layer.set_weights([net.scale, net.shift])
    taken, is_causal = layer(tokens), isinstance(net, testing.CausalNet)
    own = attention(net, f"{name}_attention") if inner is None else None
    added = inner(taken) if own is None else own(taken, taken, attention_mask=mask, use_causal_mask=is_causal)
    return layers.Add(name=name)([tokens, added])


@contextlib.contextmanager
def policy(name: str) -> Iterator[None]:
    """Layers that are made now compute in this type."""
    was = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(was)


@contextlib.contextmanager
def channels_first() -> Iterator[None]:
    """Layers that are made now take the channels there."""
    was = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        yield
    finally:
        keras.config.set_image_data_format(was)


FORWARD = {
    "gradients": "Keras' backend only runs forward",
    "reached": "which positions of a map count is found for tokens alone: each takes a row of a pass",
    "moves": "where tokens come from is found by gradients",
    "frames": "which runs of a reader others depend on is found by gradients",
}
"""What an engine lacks that only runs forward."""


def conv_net(net: testing.ConvNet, relu2: layers.Layer) -> testing.Built:
    """Its softmax belongs to the dense layer, its sigmoid is an operation behind another one."""
    x = keras.Input((6, 8, net.channels))
    a = layers.ReLU(name="relu1")(convolution("conv1", net.conv1, net.bias1)(Restless()(x)))
    a = layers.GlobalAveragePooling2D(name="pool")(relu2(convolution("conv2", net.conv2, net.bias2)(a)))
    is_open = isinstance(net, testing.SharesNet)
    last = dense(net.dense, net.bias, net.link if net.link == "softmax" and not is_open else None)
    y = last(layers.Dropout(0.5, seed=0)(a))
    y = Shares()(y) if is_open else y
    if net.link == "sigmoid":
        y = keras.ops.sigmoid(keras.ops.reshape(y, (-1, 4)))
    return keras.Model(x, y), {name: name for name in (net.layers if net.link is None or is_open else net.layers[:-1])}


class TestKeras(testing.BackendTests):
    kit_version = 2
    plugin = xaicore_keras
    frameworks = ("keras", "tensorflow", "jax", "torch")
    lacks = {  # noqa: RUF012 (a constant)
        "covariance": "a softmax by hand that is square is taken for attention",
        "parts": "which tokens depend on which input is not looked for",
        "alias": "a layer has one path",
        **({} if keras.backend.backend() in frameworks else FORWARD),
    }

    def build_conv(self, net: testing.ConvNet) -> testing.Built:
        return conv_net(net, layers.ReLU(name="relu2"))

    def build_tokens(self, net: testing.TokenNet) -> testing.Built:
        x = keras.Input((12, 16, 3))
        mixed = attended(net, patched(net, x), "mixed")
        return keras.Model(x, dense(net.dense, net.bias)(mixed[:, 0])), {name: name for name in net.layers}

    def build_pair(self, net: testing.PairNet) -> testing.Built:
        model = Pair(
            convolution("shared", net.shared, net.shared_bias), layers.ReLU(name="relu"), dense(net.dense, net.bias)
        )
        model(*map(self.to_inputs, net.pictures(1)))
        return model, {name: name for name in ("shared", "relu", "dense")}

    def build_residual(self, net: testing.ResidualNet) -> testing.Built:
        x = keras.Input((6, 8, 3))
        turned = keras.ops.moveaxis(keras.ops.transpose(x, (0, 3, 1, 2)), 1, 3)
        stem = [convolution("conv1", net.conv1), norm(net, "norm1"), layers.ReLU(name="relu1")]
        first = keras.Sequential(stem, name="stem")(turned)
        second = norm(net, "norm2")(convolution("conv2", net.conv2)(first))
        end = layers.GlobalAveragePooling2D(name="pool")(layers.ReLU(name="relu2")(layers.Add()([first, second])))
        inner = {"conv1": "stem/conv1", "norm1": "stem/norm1", "relu1": "stem"}
        names = {name: inner.get(name, name) for name in net.layers}
        return keras.Model(x, dense(net.dense, net.bias)(end)), names

    def build_loop(self, net: testing.LoopNet) -> testing.Built:
        x = keras.Input((6, 8, 3))
        shared, relu = convolution("shared", net.shared, net.shared_bias), layers.ReLU(name="relu")
        a = relu(convolution("first", net.first, net.first_bias)(x / 2))
        a = relu(shared(relu(shared(a))))
        y = dense(net.dense, net.bias)(layers.GlobalAveragePooling2D(name="pool")(a))
        return keras.Model(x, y), {name: name for name in ("first", "relu", "shared", "pool", "dense")}

    def build_blocks(self, net: testing.BlocksNet) -> testing.Built:
        x, (first, second) = keras.Input((12, 16, 3)), net.blocks
        mixed = attended(first, patched(first, x), "mixed1", OpenAttention(first, "fused"))
        mixed = attended(second, mixed, "mixed2", OpenAttention(second, "products"))
        return keras.Model(x, dense(second.dense, second.bias)(mixed[:, 0])), {name: name for name in net.layers}

    def build_segments(self, net: testing.SegmentsNet) -> testing.Built:
        each = [convolution("conv1", net.conv1, net.bias1), layers.ReLU(name="relu1")]
        if net.link == "sigmoid":  # of a sum of two halves
            x = keras.Input((6, 8, 3))
            a = each[1](each[0](x))
            halves = [convolution(f"half{i}", net.dense / 2, net.bias / 2)(a) for i in range(2)]
            y = layers.Permute((3, 1, 2))(layers.Activation("sigmoid")(layers.Add()(halves)))
            return keras.Model(x, y), {name: name for name in net.layers[:-1]}
        each += [convolution("dense", net.dense, net.bias, activation=net.link)]
        each += [layers.Reshape((6, 8, len(net.dense))) if net.link is None else layers.Permute((3, 1, 2))]
        names = net.layers if net.link is None else net.layers[:-1]
        return keras.Sequential([keras.Input((6, 8, 3)), *each]), {name: name for name in names}

    def build_words(self, net: testing.WordsNet) -> testing.Built:
        picture, words = keras.Input((6, 8, 3), name="picture"), keras.Input((5,), dtype="int32", name="words")
        a = layers.ReLU(name="relu1")(convolution("conv1", net.conv1, net.bias1)(picture))
        embedding = layers.Embedding(*net.embedding.shape, name="embedding")
        embedding.build()
        embedding.set_weights([net.embedding])
        means = [keras.ops.mean(a, axis=(1, 2)), keras.ops.mean(embedding(words), axis=1)]
        y = dense(net.dense, net.bias)(layers.Concatenate()(means))
        return keras.Model({"picture": picture, "words": words}, y), {name: name for name in net.layers}

    def build_causal(self, net: testing.CausalNet) -> testing.Built:
        x = keras.Input((12, 16, 3))
        tokens = Positions(net)(convolution("patches", net.patches, net.patches_bias, 4)(x))
        y = dense(net.dense, net.bias)(attended(net, tokens, "mixed")[:, -1])
        return keras.Model(x, y), {name: name for name in net.layers}

    def build_queries(self, net: testing.QueriesNet) -> testing.Built:
        x = keras.Input((12, 16, 3))
        patches = layers.Reshape((12, 10))(convolution("patches", net.patches, net.patches_bias, 4)(x))
        projected = dense(net.mix, 0 * net.mix[0], name="project")(patches)
        tokens = Gated(name="gated")(Mixed(name="mixed")(projected))
        read = attention(net, "read")(Queries(net)(tokens), tokens)
        y = dense(net.dense, net.bias)(keras.ops.mean(read, axis=1))
        return keras.Model(x, y), {name: name for name in net.layers if name != "queries"}

    def build_axial(self, net: testing.AxialNet) -> testing.Built:
        x = keras.Input((12, 16, 3))
        patches = convolution("patches", net.patches, net.patches_bias, 4)(x)
        columns = Lines(net.along["columns"])(keras.ops.swapaxes(Lines(net.along["rows"])(patches), 1, 2))
        y = dense(net.dense, net.bias)(keras.ops.mean(columns, axis=(1, 2)))
        return keras.Model(x, y), {name: name for name in ("patches", "dense")}

    def build_recurrent(self, net: testing.RecurrentNet) -> testing.Built:
        x = keras.Input((6, 8, 3))
        rows, columns = net.part
        a = layers.ReLU(name="relu1")(convolution("conv1", net.conv1, net.bias1)(x[:, rows, columns]))
        layer = layers.SimpleRNN(7, return_sequences=True, name="recurrent")
        layer.build((None, 8, 5))
        layer.set_weights([net.kernel.T, net.state.T, net.offset])
        y = dense(net.dense, net.bias)(layer(keras.ops.mean(a, axis=1))[:, -1])
        return keras.Model(x, y), {name: name for name in net.layers}

    def build_halves(self, net: testing.HalvesNet) -> testing.Built:
        picture, words = keras.Input((12, 32, 3), name="picture"), keras.Input((5,), dtype="int32", name="words")
        patches = convolution("patches", net.patches, net.patches_bias, 4)
        embedding = layers.Embedding(*net.embedding.shape, name="embedding")
        embedding.build()
        embedding.set_weights([net.embedding])
        left, right = (patches(picture[:, :, columns]) for columns in net.halves)
        joined = Joined()(left, right, embedding(words))
        tokens = dense(net.mix, 0 * net.mix[0], name="tokens")(joined)
        y = dense(net.dense, net.bias)(keras.ops.mean(keras.ops.tanh(tokens), axis=1))
        names = ("patches", "embedding", "tokens", "dense")
        return keras.Model({"picture": picture, "words": words}, y), {name: name for name in names}

    def build_coupled(self, net: testing.CoupledNet) -> testing.Built:
        x = keras.Input((6, 8, 3))
        a = layers.ReLU(name="relu1")(convolution("conv1", net.conv1, net.bias1)(x))
        a = layers.ReLU(name="relu2")(Centred(name="centred")(a))
        y = dense(net.dense, net.bias)(layers.GlobalAveragePooling2D(name="pool")(a))
        return keras.Model(x, y), {name: name for name in net.layers}

    def build_outputs(self, net: testing.HeadsNet) -> testing.Built:
        x = keras.Input((6, 8, 3))  # of two images, and no other number of them
        a = layers.ReLU(name="relu1")(convolution("conv1", net.conv1, net.bias1)(keras.ops.reshape(x, (2, 6, 8, 3))))
        pooled = layers.GlobalAveragePooling2D(name="pool")(a)
        y = {
            "shape": dense(net.shape, net.shape_bias, name="shape")(pooled),
            "colour": dense(net.colour, net.colour_bias, name="colour")(pooled),
        }
        is_first = net.explains in (0, "shape")
        return keras.Model(x, y if is_first else [*y.values()]), {name: name for name in net.layers}

    def build_open(self, net: testing.OpenNet) -> testing.Built:
        x, (first, second) = keras.Input((12, 16, 3)), net.blocks
        mixed = attended(first, patched(first, x), "mixed1", OpenAttention(first, "sums"))
        mixed = attended(second, mixed, "mixed2", OpenAttention(second, "layer"))
        return keras.Model(x, dense(second.dense, second.bias)(mixed[:, 0])), {name: name for name in net.layers}

    def build_masked(self, net: testing.MaskedNet) -> testing.Built:
        x, (first, second, third) = keras.Input((12, 16, 3)), net.blocks
        seen = [keras.ops.convert_to_tensor(np.isfinite(block.mask(13))[None]) for block in (first, second)]
        mixed = attended(first, patched(first, x), "mixed1", mask=seen[0])
        mixed = attended(second, mixed, "mixed2", mask=seen[1])
        mixed = attended(third, mixed, "mixed3", BiasedAttention(third))
        return keras.Model(x, dense(third.dense, third.bias)(mixed[:, 0])), {name: name for name in net.layers}

    def build_sequence(self, net: testing.SequenceNet) -> testing.Built:
        x = keras.Input((6, 8, 3))
        a = layers.ReLU(name="relu1")(convolution("conv1", net.conv1, net.bias1)(x))
        y = dense(net.dense, net.bias)(keras.ops.mean(a, axis=1, keepdims=True))
        y = keras.ops.moveaxis(y, 3, 1)  # (N, classes, 1, columns)
        y = keras.ops.transpose(y if net.link is None else keras.ops.softmax(y, axis=1), (3, 2, 1, 0))
        y = keras.ops.swapaxes(keras.ops.squeeze(y, axis=1), 1, 2)
        return keras.Model(x, y), {name: name for name in net.layers}

    def build_shares(self, net: testing.SharesNet) -> testing.Built:
        return conv_net(net, layers.ReLU(name="relu2"))

    def build_leaky(self, net: testing.LeakyNet) -> testing.Built:
        slope = keras.initializers.Constant(0.3)
        return conv_net(net, layers.PReLU(slope, shared_axes=(1, 2), name="relu2"))

    def build_half(self, net: testing.HalfNet) -> testing.Built:
        with policy("float16"):
            return self.build_conv(net)

    def build_turned(self, net: testing.TurnedNet) -> testing.Built:
        x = keras.Input((1, 6, 8))
        a = layers.ReLU(name="relu1")(convolution("conv1", net.conv1, net.bias1, first=True)(x))
        a = layers.ReLU(name="relu2")(convolution("conv2", net.conv2, net.bias2, first=True)(a))
        a = layers.GlobalAveragePooling2D(data_format="channels_first", name="pool")(a)
        return keras.Model(x, dense(net.dense, net.bias)(a)), {name: name for name in net.layers}

    def turned_inputs(self, picture: np.ndarray) -> np.ndarray:
        return picture

    def modes(self) -> dict[str, Any]:
        if keras.backend.backend() == "torch":
            import torch

            modes = {"no_grad": torch.no_grad, "inference_mode": torch.inference_mode}
        else:
            modes = {"learning in bfloat16": lambda: policy("mixed_bfloat16")}
        return {**modes, "pictures with channels first": channels_first}

    def freeze(self, model: keras.Model) -> None:
        model.trainable = False

    def to_inputs(self, picture: np.ndarray) -> np.ndarray:
        return picture.transpose(0, 2, 3, 1)

    def state(self, model: Any) -> Any:
        return fingerprint(model)

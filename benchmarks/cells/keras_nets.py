"""A small net of each kind in Keras, with an input of two images, channels last."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers, ops

__all__ = ["NETS"]


def conv(axes: int, shape: tuple[int, ...]) -> keras.Model:
    """Two convolutions, global average pooling, a dense layer; of 1, 2 or 3 spatial axes."""
    layer = {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}[axes]
    pool = {1: layers.GlobalAveragePooling1D, 2: layers.GlobalAveragePooling2D, 3: layers.GlobalAveragePooling3D}[axes]
    x = inputs = keras.Input(shape)
    x = layer(6, 3, padding="same", strides=2, activation="relu", name="first")(x)
    x = layer(8, 3, padding="same", activation="relu", name="last")(x)
    return keras.Model(inputs, layers.Dense(4)(pool()(x)))


class Block(layers.Layer):
    """A transformer's block, whose feed-forward part has a ReLU."""

    def __init__(self, channels: int, name: str) -> None:
        super().__init__(name=name)
        self.norm1, self.norm2 = layers.LayerNormalization(), layers.LayerNormalization()
        self.attend = layers.MultiHeadAttention(2, channels // 2)
        self.wide, self.narrow = layers.Dense(2 * channels, activation="relu"), layers.Dense(channels)

    def build(self, shape: tuple[int, ...]) -> None:
        """Build the layers inside."""
        for layer in (self.norm1, self.norm2, self.wide):
            layer.build(shape)
        self.attend.build(shape, shape)
        self.narrow.build((*shape[:-1], 2 * shape[-1]))

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Tokens (N, T, C)."""
        y = self.norm1(x)
        x = x + self.attend(y, y)
        return x + self.narrow(self.wide(self.norm2(x)))


class Prefixed(layers.Layer):
    """A class token before tokens (N, T, C), and positions."""

    def build(self, shape: tuple[int, ...]) -> None:
        """Make the weights."""
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="random_normal", name="token")
        self.place = self.add_weight(shape=(1, shape[1] + 1, shape[-1]), initializer="random_normal", name="place")

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Tokens (N, T + 1, C)."""
        token = ops.broadcast_to(self.token, (ops.shape(x)[0], 1, x.shape[-1]))
        return ops.concatenate([token, x], axis=1) + self.place


def vit(shape: tuple[int, ...]) -> keras.Model:
    """Patches of 8 x 8, a class token, two blocks."""
    inputs = keras.Input(shape)
    x = layers.Conv2D(8, 8, strides=8, name="embed")(inputs)
    x = Prefixed(name="prefixed")(layers.Reshape((x.shape[1] * x.shape[2], 8))(x))
    x = Block(8, "block1")(Block(8, "block0")(x))
    x = layers.LayerNormalization(name="norm")(x)
    return keras.Model(inputs, layers.Dense(4)(x[:, 0]))


class Windows(layers.Layer):
    """A block that attends within windows of 2 x 2 positions of (N, h, w, C)."""

    def __init__(self, channels: int, name: str) -> None:
        super().__init__(name=name)
        self.block = Block(channels, "block")

    def build(self, shape: tuple[int, ...]) -> None:
        """Build the block."""
        self.block.build((None, 4, shape[-1]))

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """(N, h, w, C)."""
        _, h, w, c = x.shape
        tokens = ops.transpose(ops.reshape(x, (-1, h // 2, 2, w // 2, 2, c)), (0, 1, 3, 2, 4, 5))
        mixed = ops.reshape(self.block(ops.reshape(tokens, (-1, 4, c))), (-1, h // 2, w // 2, 2, 2, c))
        return ops.reshape(ops.transpose(mixed, (0, 1, 3, 2, 4, 5)), (-1, h, w, c))


class Merge(layers.Layer):
    """Neighbours of 2 x 2 positions of (N, h, w, C) become channels."""

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """(N, h / 2, w / 2, 4 C)."""
        _, h, w, c = x.shape
        parts = ops.transpose(ops.reshape(x, (-1, h // 2, 2, w // 2, 2, c)), (0, 1, 3, 2, 4, 5))
        return ops.reshape(parts, (-1, h // 2, w // 2, 4 * c))


def swin(shape: tuple[int, ...]) -> keras.Model:
    """Patches of 4 x 4, windows, a merge of 2 x 2 positions, windows, the mean."""
    inputs = keras.Input(shape)
    x = Windows(8, "first")(layers.Conv2D(8, 4, strides=4, name="embed")(inputs))
    x = Windows(8, "last")(layers.Dense(8, name="narrow")(Merge(name="merge")(x)))
    x = layers.LayerNormalization(name="norm")(x)
    return keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))


NETS: dict[str, tuple[Callable[[], keras.Model], tuple[int, ...]]] = {
    "CNN": (lambda: conv(2, (32, 40, 3)), (2, 32, 40, 3)),
    "ViT": (lambda: vit((32, 40, 3)), (2, 32, 40, 3)),
    "Swin": (lambda: swin((32, 48, 3)), (2, 32, 48, 3)),
    "1-D": (lambda: conv(1, (64, 2)), (2, 64, 2)),
    "3-D": (lambda: conv(3, (12, 16, 20, 1)), (2, 12, 16, 20, 1)),
}
"""{kind: (what builds the net, the shape of its input)}."""

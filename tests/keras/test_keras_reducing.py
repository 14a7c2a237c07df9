"""Maps that each backend of Keras computes where its arrays lie are those of NumPy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras_nets import BACKEND, conv_gap_dense, numpy, pictures, settle

import xaicore
from xaicore import Explainer
from xaicore.methods import METHODS
from xaicore_keras.backend import KerasBackend
from xaicore_keras.running import running_engine

FORMULAS = [name for name, method in METHODS.items() if method.is_formula and method.fusion is None]
CLASSES = [[0, 2], [1, 0]]


class Remote(KerasBackend):
    """As if the model lay on an accelerator."""

    on_accelerator = True


def check_same(model: Any, x: Any, targets: Any = CLASSES, **options: Any) -> None:
    """Explain on both ways with all formulas."""
    seen: list[Any] = []

    class Seen(Remote):
        def capture(self, *args: Any, **kwargs: Any) -> Any:
            seen.append(super().capture(*args, **kwargs))
            return seen[-1]

    there = Explainer(model, backend=Seen(model), **options).compare(x, FORMULAS, targets)
    here = Explainer(model, backend=KerasBackend(model), **options).compare(x, FORMULAS, targets)
    assert seen[-1].reduced
    assert not seen[-1].activations
    assert not seen[-1].gradients
    for name in FORMULAS:
        assert not here[name].empty.all()
        scale = np.abs(here[name].maps).max()
        np.testing.assert_allclose(there[name].maps, here[name].maps, rtol=1e-5, atol=1e-5 * scale, err_msg=name)
        np.testing.assert_array_equal(there[name].scores, here[name].scores)


def test_several_layers() -> None:
    check_same(conv_gap_dense(), pictures(), layer=["relu1", "conv2"])


def test_tokens_behind_a_class_token() -> None:
    inputs = keras.Input((16, 24, 3))
    tokens = layers.Reshape((24, 8))(layers.Conv2D(8, 4, 4)(inputs))
    tokens = layers.Concatenate(1)([tokens[:, :1] * 0 + 0.5, tokens])
    tokens = tokens + layers.MultiHeadAttention(2, 4)(tokens, tokens)
    tokens = layers.LayerNormalization(name="block")(tokens)
    mixed = layers.MultiHeadAttention(2, 4)(tokens, tokens)
    model = settle(keras.Model(inputs, layers.Dense(3)(mixed[:, 0])))
    check_same(model, np.random.default_rng(0).normal(size=(2, 16, 24, 3)).astype(np.float32), layer="block")


class Coupled(layers.Layer):
    """The outputs of an image depend on the others."""

    def call(self, x: Any) -> Any:
        return x - ops.mean(x, axis=0, keepdims=True) * ops.sin(x)


def test_images_that_are_coupled_and_a_smaller_batch() -> None:
    """JAX fills the first smaller batch of a model up to the size that is compiled."""
    maps = []
    for backend in (KerasBackend, Remote):
        inputs = keras.Input((6, 9, 1))
        x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(inputs)
        x = layers.GlobalAveragePooling2D()(Coupled()(x))
        model = settle(keras.Model(inputs, layers.Dense(3)(x)))
        explainer = Explainer(model, "gradcam++", "conv", backend(model))
        both = [explainer(pictures(3), [[0, 2], [1, 0], [2, 2]]), explainer(pictures(3)[:2], CLASSES)]
        maps.append(np.concatenate([one.maps for one in both]))
    assert (maps[0].max(axis=(1, 2)) > 0).all()
    np.testing.assert_allclose(maps[1], maps[0], rtol=1e-5, atol=1e-5 * maps[0].max())


@pytest.mark.parametrize("factor", [1e-4, 3e3])
def test_float16_gradients_that_are_small_or_large(factor: float) -> None:
    """Scaled up the large ones overflow, and are pulled back again."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = conv_gap_dense()
    finally:
        keras.config.set_dtype_policy("float32")
    dense = model.get_layer("dense")
    dense.kernel.assign(factor * numpy(dense.kernel))
    check_same(model, pictures() / max(1.0, factor / 10), layer="relu1")


def test_the_caller_s_formula_gets_the_arrays_of_the_framework() -> None:
    seen: set[tuple[str, str]] = set()

    def mine(activations: Any, gradients: Any, xp: Any = np) -> Any:
        double = xp.asarray(gradients, dtype=xp.float64)
        seen.add((xp.__name__, keras.backend.standardize_dtype(double.dtype)))
        return xp.einsum("nkc...,nc...->nk...", gradients, activations)

    model = conv_gap_dense()
    Explainer(model, mine, "relu1", Remote(model))(pictures())
    modules = {"torch": "torch", "jax": "jax.numpy", "tensorflow": "tensorflow.experimental.numpy"}
    assert seen == {(modules[BACKEND], "float64")}

    def wrong(activations: Any, gradients: Any, xp: Any = np) -> Any:
        return xp.no_such_name(gradients)

    with pytest.raises(xaicore.MethodError, match="'wrong' takes arrays of any module, and fails with those of"):
        Explainer(model, wrong, "relu1", Remote(model))(pictures())


@pytest.mark.parametrize(("place", "expected"), [("cpu", False), ("gpu", True)])
def test_where_it_pays(place: str, expected: bool) -> None:
    """By how each framework tells where a variable lies."""
    weights = {
        "torch": SimpleNamespace(device=SimpleNamespace(type={"gpu": "cuda"}.get(place, place))),
        "jax": SimpleNamespace(devices=lambda: [SimpleNamespace(platform=place)]),
        "tensorflow": SimpleNamespace(device=f"/job:localhost/replica:0/task:0/device:{place.upper()}:0"),
    }
    assert running_engine().on_accelerator(weights[BACKEND]) is expected
    assert KerasBackend(conv_gap_dense()).on_accelerator is False

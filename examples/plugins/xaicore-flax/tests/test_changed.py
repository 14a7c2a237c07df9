"""Models that change the picture first, and modules that return what one inside of them has made."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xaicore_flax
from flax import nnx

import xaicore

X = jax.random.normal(jax.random.key(0), (2, 12, 16, 3))


class Block(nnx.Module):
    def __init__(self, inner: nnx.Module) -> None:
        self.inner = inner

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.inner(x)


class Net(nnx.Module):
    def __init__(self, change: Callable[[jax.Array], jax.Array], dtype: jnp.dtype = jnp.float32) -> None:
        self.change = change
        self.block = Block(nnx.Conv(3, 4, (3, 3), dtype=dtype, rngs=nnx.Rngs(0)))
        self.dense = nnx.Linear(4, 3, dtype=dtype, rngs=nnx.Rngs(1))

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.dense(nnx.relu(self.block(self.change(x))).mean((1, 2)))


def test_a_picture_that_is_only_scaled_lies_under_its_map() -> None:
    plain, scaled = Net(lambda x: x), Net(lambda x: (x - 0.5) / 0.2)
    came = xaicore.explain(scaled, X, targets=1)
    np.testing.assert_allclose(came.maps, xaicore.explain(plain, (X - 0.5) / 0.2, targets=1).maps, atol=1e-6)


def test_a_picture_that_is_flipped_or_cropped_is_refused() -> None:
    with pytest.raises(xaicore.LayerError, match="reads input 0 changed: the model flips it"):
        xaicore.explain(Net(lambda x: x[:, :, ::-1]), X)
    with pytest.raises(xaicore.LayerError, match="reads input 0 changed: the model crops or pads it"):
        xaicore.explain(Net(lambda x: x[:, :, 4:]), X)


def test_a_transposed_picture_is_the_one_that_the_convolution_takes() -> None:
    came = xaicore.explain(Net(lambda x: x.swapaxes(1, 2)), X, targets=1)
    expected = xaicore.explain(Net(lambda x: x), X.swapaxes(1, 2), targets=1)
    np.testing.assert_allclose(came.maps, expected.maps, atol=1e-6)


def test_an_output_that_two_modules_return_has_the_name_of_the_outer_one() -> None:
    model = Net(lambda x: x)
    backend = xaicore_flax.xaicore_backend(model, None)
    block, dense = backend.observe(X).layers
    assert (block.name, block.aliases, block.type, block.kind, block.channel_axis) == (
        "block",
        ("block.inner",),
        "Block",
        "convolution",
        3,
    )
    assert (dense.name, dense.takes, dense.kind) == ("dense", (), "dense")
    maps = [xaicore.explain(model, X, layer=name, targets=1).maps for name in ("block", "block.inner", "block#1")]
    assert maps[0].max() > 0
    for other in maps[1:]:
        np.testing.assert_array_equal(other, maps[0])


def test_small_gradients_survive_half_precision() -> None:
    def direction(rows: np.ndarray, kind: str) -> np.ndarray:
        return np.full((2, 1, 3), 1e-5, np.float32)  # the mean over 192 positions brings it below what float16 has

    captured = [
        xaicore_flax.xaicore_backend(Net(lambda x: x, dtype), None).capture(X, ["block"], direction).gradients["block"]
        for dtype in (jnp.float16, jnp.float32)
    ]
    assert np.abs(captured[1]).max() < 6e-8
    np.testing.assert_allclose(*captured, atol=np.abs(captured[1]).max() / 50)


class Segments(nnx.Module):
    def __init__(self, link: Callable[[jax.Array], jax.Array]) -> None:
        self.conv, self.classes, self.link = (
            nnx.Conv(3, 4, (3, 3), rngs=nnx.Rngs(0)),
            nnx.Conv(4, 5, (1, 1), rngs=nnx.Rngs(1)),
            link,
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.link(self.classes(nnx.relu(self.conv(x))))


def test_the_classes_of_a_score_map_lie_where_the_last_convolution_has_them() -> None:
    model = Segments(lambda x: x)
    captured = xaicore_flax.xaicore_backend(model, None).capture(
        X, ["conv"], lambda rows, kind: (rows * np.arange(5).reshape(5, 1, 1))[:, None]
    )
    expected = model(X)
    assert captured.outputs.shape == (2, 5, 12, 16)
    np.testing.assert_allclose(captured.outputs, np.moveaxis(expected, 3, 1), atol=1e-6)
    weights = model.classes.kernel[0, 0]
    wanted = (expected * jnp.arange(5)) @ weights.T * (model.conv(X) > 0)
    np.testing.assert_allclose(captured.gradients["conv"][:, 0], wanted, atol=1e-5)
    assert xaicore.explain(model, X, layer="conv", targets=xaicore.targets.Region(2)).maps.shape == (2, 12, 16)


def test_where_nothing_shows_the_classes_it_is_asked() -> None:
    with pytest.raises(xaicore.XaicoreError, match="output_axes="):
        xaicore.explain(Segments(lambda x: jnp.flip(x, 1)), X, layer="conv")

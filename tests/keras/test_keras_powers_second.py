"""Second derivatives at a layer, against plain autodiff of the engine and against differences."""

import contextlib

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras_nets import (
    BACKEND,
    CLOSE,
    Subclassed,
    conv_gap_dense,
    functional,
    gradients_of,
    mean,
    numpy,
    one_hot,
    pictures,
    split,
)

import xaicore
from xaicore_keras.backend import KerasBackend
from xaicore_keras.traces import traces_of

CLASSES = [[1, 0], [2, 1]]


def toward(classes):
    return lambda outputs, kind: np.eye(outputs.shape[1], dtype=np.float32)[np.asarray(classes)]


def bent(x):
    """A net whose score is no linear function of the layer "conv2", with a ReLU and a pooling layer on the way."""
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv1")(x)
    x = layers.Conv2D(5, 3, padding="same", name="conv2")(x)
    x = layers.MaxPooling2D(2)(layers.Conv2D(4, 3, padding="same", activation="tanh")(ops.relu(x)))
    return layers.Dense(3)(mean(x))


def normed(x):
    x = layers.LayerNormalization(name="norm")(layers.Conv2D(5, 3, name="conv2")(x))
    return layers.Dense(3)(mean(layers.Activation("gelu")(layers.Dense(6, activation="silu")(x))))


def by_autodiff(model, x, path, classes):
    """d/dA <G(A), A'> with A' = A constant, by autodiff of autodiff, one score after the other: (N, K, *layer)."""
    a, rest = split(model, x, path)
    found = [_second(rest, a, np.asarray(classes)[:, k]) for k in range(len(classes[0]))]
    return np.stack([numpy(one) for one in found], axis=1)


def _second(rest, a, classes):
    def score(a):
        y = rest(a)
        return ops.sum(y * one_hot(y, classes))

    if BACKEND == "torch":
        import torch

        leaf = a.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(score(leaf), leaf, create_graph=True)
        return torch.autograd.grad((gradient * a.detach()).sum(), leaf)[0]
    if BACKEND == "jax":
        import jax

        return jax.jit(jax.grad(lambda b: ops.sum(jax.grad(score)(b) * a)))(a)
    import tensorflow as tf

    with tf.GradientTape() as outer:
        outer.watch(a)
        with tf.GradientTape() as inner:
            inner.watch(a)
            y = score(a)
        product = tf.reduce_sum(inner.gradient(y, a) * tf.stop_gradient(a))
    return outer.gradient(product, a)


@pytest.mark.parametrize(("net", "path"), [(bent, "conv2"), (bent, "conv1"), (normed, "norm")])
def test_the_hessian_times_the_activations(net, path):
    model, x = functional(net), pictures()
    found = KerasBackend(model).second(x, path, toward(CLASSES))
    truth = by_autodiff(model, x, path, CLASSES)
    assert found.dtype == np.float32
    assert np.abs(truth).max() > 1e-4
    np.testing.assert_allclose(found, truth, **CLOSE)


def test_the_hessian_times_the_activations_by_differences():
    """(G(A + hA) - G(A - hA)) / 2h, literally; TensorFlow's own second derivatives of normalisations are wrong."""
    model, x, step = functional(normed), pictures(), 1e-2
    found = KerasBackend(model).second(x, "conv2", toward(CLASSES))
    a, rest = split(model, x, "conv2")
    ends = [gradients_of(rest, a * (1 + sign * step), np.asarray(CLASSES)) for sign in (1, -1)]
    truth = np.stack([(numpy(up) - numpy(down)) / (2 * step) for up, down in zip(*ends, strict=True)], axis=1)
    np.testing.assert_allclose(found, truth, atol=3e-3 * np.abs(truth).max())


def test_where_the_score_is_piecewise_linear_it_is_zero():
    for path in ("relu2", "conv1"):
        found = KerasBackend(conv_gap_dense()).second(pictures(), path, toward(CLASSES))
        assert found.shape[:2] == (2, 2)
        assert not found.any()


def test_batches_equal_singles_and_targets_single_targets():
    model, x = functional(bent), pictures(3)
    together = KerasBackend(model).second(x, "conv2", toward([[0, 1, 2]] * 3))
    for n, k in np.ndindex(3, 3):
        single = KerasBackend(model).second(x[n : n + 1], "conv2", toward([[k]]))
        np.testing.assert_allclose(together[n : n + 1, k : k + 1], single, **CLOSE)


def test_the_direction_is_called_once_with_the_outputs():
    model, x, calls = functional(bent), pictures(), []

    def direction(outputs, kind):
        calls.append((outputs, kind))
        return toward(CLASSES)(outputs, kind)

    KerasBackend(model).second(x, "conv2", direction)
    ((outputs, kind),) = calls
    given = KerasBackend(model).capture(x, [])
    np.testing.assert_allclose(outputs, given.outputs, rtol=1e-5)
    assert kind == given.outputs_kind


def test_a_layer_that_does_not_reach_the_outputs_is_refused():
    i = keras.Input((6, 9, 1))
    unused = layers.Conv2D(4, 3, name="unused")(i)
    model = keras.Model(i, [layers.Dense(3)(mean(layers.Conv2D(4, 3)(i))), unused])
    with pytest.raises(xaicore.LayerError, match="'unused' does not reach the outputs"):
        KerasBackend(model, 0).second(pictures(), "unused", toward(CLASSES))
    with pytest.raises(xaicore.LayerError, match="conv9"):
        KerasBackend(model, 0).second(pictures(), "conv9", toward(CLASSES))


@pytest.mark.skipif(BACKEND == "torch", reason="nothing is compiled on torch")
def test_a_call_again_makes_no_trace():
    model = functional(bent)
    backend = KerasBackend(model)
    backend.second(pictures(4), "conv2", toward(CLASSES * 2))
    count = traces_of(model).made
    backend.second(2 * pictures(4), "conv2", toward(CLASSES * 2))
    backend.second(pictures(3), "conv2", toward((CLASSES * 2)[:3]))
    assert traces_of(model).made == count


@pytest.mark.parametrize("error", [None, ZeroDivisionError("mine"), KeyboardInterrupt()])
def test_everything_is_as_before(unchanged, error):
    model = Subclassed()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(pictures(), np.array([0, 1]), verbose=0)

    def direction(outputs, kind):
        if error is not None:
            raise error
        return toward(CLASSES)(outputs, kind)

    expected = contextlib.nullcontext() if error is None else pytest.raises(type(error))
    with unchanged(model), expected:
        KerasBackend(model).second(pictures(), "conv2", direction)

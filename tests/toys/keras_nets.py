"""Tiny nets whose maps can be computed by hand, and an oracle for any net on any of Keras' backends.

Pictures are (N, 6, 9, C), channels last; what is computed by hand is channels first, as in xaicore.
"""

import contextlib
import os
from functools import partial

import keras
import numpy as np
import pytest
from keras import layers, ops

BACKEND = keras.backend.backend()

needs_onednn = pytest.mark.skipif(
    BACKEND == "tensorflow" and os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0",
    reason="TensorFlow convolves channels first on a CPU only with oneDNN",
)
CLOSE = {"rtol": 2e-5, "atol": 2e-6}


def numpy(value):
    return ops.convert_to_numpy(value.value if isinstance(value, keras.Variable) else value)


def settle(model, seed=0):
    """Gives the model weights that are the same on every backend, and returns it."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "float" in keras.backend.standardize_dtype(weight.dtype):
            values = rng.normal(size=weight.shape) / np.sqrt(max(2, np.prod(weight.shape[:-1])))
            weight.assign(0.5 + abs(values) if weight.name.endswith("variance") else values)
    return model


def pictures(n=2, channels=1, h=6, w=9):
    """Non-square, different from each other."""
    return np.random.default_rng(1).normal(size=(n, h, w, channels)).astype(np.float32)


def body(x, prefix=""):
    """conv1 - relu1 - conv2 - relu2, any number of spatial axes."""
    conv = {3: layers.Conv1D, 4: layers.Conv2D, 5: layers.Conv3D}[len(x.shape)]
    x = layers.ReLU(name=prefix + "relu1")(conv(4, 3, padding="same", name=prefix + "conv1")(x))
    return layers.ReLU(name=prefix + "relu2")(conv(5, 3, padding="same", name=prefix + "conv2")(x))


def mean(x):
    pool = {3: layers.GlobalAveragePooling1D, 4: layers.GlobalAveragePooling2D, 5: layers.GlobalAveragePooling3D}
    return pool[len(x.shape)](name="gap")(x)


def conv_gap_dense(classes=3, channels=1, end=None, activation=None, size=(6, 9), name="net"):
    """conv - relu - conv - relu - mean - dense; the gradient at relu2 is the dense row over the positions."""
    x = keras.Input((*size, channels))
    y = layers.Dense(classes, activation=activation, name="dense")(mean(body(x)))
    return settle(keras.Model(x, y if end is None else end(y), name=name))


class Subclassed(keras.Model):
    """The same net with a `call` of its own; `end` is what it does with the logits, `more` are further attributes."""

    def __init__(self, classes=3, end=None, activation=None, built=True, **more):
        super().__init__(name="subclassed")
        self.conv1 = layers.Conv2D(4, 3, padding="same", name="conv1")
        self.relu1 = layers.ReLU(name="relu1")
        self.conv2 = layers.Conv2D(5, 3, padding="same", name="conv2")
        self.relu2 = layers.ReLU(name="relu2")
        self.dense = layers.Dense(classes, activation=activation, name="dense")
        self.end = end
        for attribute, value in more.items():
            setattr(self, attribute, value)
        if built:
            self(pictures())
            settle(self)

    def features(self, x):
        return self.relu2(self.conv2(self.relu1(self.conv1(x))))

    def call(self, x):
        y = self.dense(ops.mean(self.features(x), axis=(1, 2)))
        return y if self.end is None else self.end(y)


def find(model, path):
    """The layer of this path; "~2" is the second of its name."""
    for part in path.split("/"):
        name, _, number = part.partition("~")
        own = [layer for layer in model._flatten_layers(include_self=False, recursive=False) if layer.name == name]
        model = own[int(number or 1) - 1]
    return model


def convolve(x, layer):
    """ "same", stride 1, from the weights, in float64; any number of spatial axes, channels last."""
    kernel, bias = (numpy(value).astype(np.float64) for value in (layer.kernel, layer.bias))
    *size, _, _ = kernel.shape
    padded = np.pad(x, [(0, 0), *((n // 2, n // 2) for n in size), (0, 0)])
    shifted = (
        padded[(slice(None), *(slice(i, i + n) for i, n in zip(at, x.shape[1:-1], strict=True)))] @ kernel[at]
        for at in np.ndindex(*size)
    )
    return sum(shifted) + bias


def features(model, x):
    """Activations at relu2, (N, 5, *S) float64, straight from the weights."""
    a = np.asarray(x, np.float64)
    for name in ("conv1", "conv2"):
        a = np.maximum(convolve(a, find(model, name)), 0)
    return np.moveaxis(a, -1, 1)


def rows_of(model, name="dense"):
    """The dense layer's rows (classes, C) float64."""
    return numpy(find(model, name).kernel).astype(np.float64).T


def evidence(model, x, rows, dense="dense"):
    """Sum over channels of row * activation, before the ReLU and not over the positions: (N, K, *S).

    `rows` (N, K) are classes, or signs for a single output.
    """
    w = rows_of(model, dense)
    direction = np.eye(len(w))[rows] if len(w) > 1 else np.asarray(rows, float)[..., None]
    return np.einsum("nko,oc,nc...->nk...", direction, w, features(model, x))


def gradcam(model, x, rows, dense="dense"):
    """Grad-CAM by hand: (N, K, *S)."""
    maps = evidence(model, x, rows, dense)
    return np.maximum(maps, 0) / maps[0, 0].size


def logits(model, x):
    """By hand: (N, classes) float64."""
    a = features(model, x)
    return a.reshape(*a.shape[:2], -1).mean(-1) @ rows_of(model).T + numpy(find(model, "dense").bias)


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def run(model, x):
    """A plain call: a tuple is positional arguments where the model's call takes several."""
    x = keras.tree.map_structure(lambda part: ops.convert_to_tensor(part), x)
    return model(*x, training=False) if isinstance(x, tuple) else model(x, training=False)


@contextlib.contextmanager
def replaced(layer, function):
    """`function(output, run)` stands for every output of the layer, whatever its `call` is: its class is another."""
    cls, runs = type(layer), iter(range(1000))

    def __call__(self, *args, **kwargs):
        return function(super(changed, self).__call__(*args, **kwargs), next(runs))

    changed = type(cls.__name__, (cls,), {"__call__": __call__})
    object.__setattr__(layer, "__class__", changed)
    try:
        yield
    finally:
        object.__setattr__(layer, "__class__", cls)


def first_tensor(output):
    return keras.tree.flatten(output)[0]


def split(model, x, path, choose=lambda y: y):
    """(activations of the layer's last run, the rest of the model as a function of them), both of the framework."""
    layer, seen = find(model, path), []
    x = keras.tree.map_structure(ops.convert_to_tensor, x)

    def whole(x):
        with replaced(layer, lambda output, i: seen.append(first_tensor(output)) or output):
            run(model, x)
        return seen[-1]

    def rest(x, activations):
        def put(output, i):
            if i != len(seen) - 1:
                return output
            flat = keras.tree.flatten(output)
            return keras.tree.pack_sequence_as(output, [activations, *flat[1:]])

        with replaced(layer, put):
            return choose(run(model, x))

    if BACKEND == "jax":  # operation by operation it would take seconds to compile
        import jax

        return jax.jit(whole)(x), partial(jax.jit(rest), x)
    return ops.convert_to_tensor(numpy(whole(x))), partial(rest, x)


def truth(model, x, path, classes, choose=lambda y: y):
    """(activations, gradients (N, K, ...)), as the framework lays them out, by its own autodiff.

    The oracle for any net: of the layer's last run, of outputs (N, classes); `choose` picks these from the answer.
    """
    a, rest = split(model, x, path, choose)
    rows = np.asarray(classes)
    return numpy(a), np.stack([numpy(gradient) for gradient in gradients_of(rest, a, rows)], axis=1)


def gradients_of(function, a, rows):
    """For each column of rows (N, K) the gradient of these classes' outputs, float32."""
    if BACKEND == "torch":
        import torch

        with torch.enable_grad():
            leaf = a.detach().clone().requires_grad_()
            y = function(leaf)
            found = [torch.autograd.grad(y, leaf, one_hot(y, c), retain_graph=True)[0] for c in rows.T]
    elif BACKEND == "jax":
        import jax

        def pulled(a):
            y, pull = jax.vjp(function, a)
            return [pull(one_hot(y, c))[0] for c in rows.T]

        found = jax.jit(pulled)(a)
    else:
        import tensorflow as tf

        with tf.GradientTape(persistent=True) as tape:
            tape.watch(a)
            y = function(a)
        found = [tape.gradient(y, a, output_gradients=one_hot(y, c)) for c in rows.T]
    return [ops.cast(gradient, "float32") for gradient in found]


def one_hot(y, classes):
    return ops.cast(np.eye(y.shape[1], dtype=np.float32)[classes], y.dtype)


def slopes(model, x, path, classes, step=1e-6):
    """The oracle's oracle, for the net above alone: central differences in float64 NumPy, (N, K, *S, C)."""
    after = ("conv1", "relu1", "conv2", "relu2")
    a, w, rows = np.asarray(x, np.float64), rows_of(model), np.asarray(classes)

    def forward(a, names):
        for name in names:
            a = convolve(a, find(model, name)) if name.startswith("conv") else np.maximum(a, 0)
        return a

    at = after.index(path) + 1
    a = forward(a, after[:at])

    def scores(a):
        pooled = forward(a, after[at:]).mean(axis=tuple(range(1, a.ndim - 1)))
        return np.take_along_axis(pooled @ w.T, rows, axis=1)

    gradients = np.zeros((*rows.shape, *a.shape[1:]))
    for place in np.ndindex(*a.shape[1:]):
        moved = np.zeros_like(a)
        moved[(slice(None), *place)] = step
        gradients[(slice(None), slice(None), *place)] = (scores(a + moved) - scores(a - moved)) / (2 * step)
    return gradients


def slope_agrees(model, x, path, classes, gradients, choose=lambda y: y, step=2e-3):
    """Whether a short way along the gradients themselves changes the scores as they say (ReLUs bend: to 3 %)."""
    a, rest = split(model, x, path, choose)
    a, rows = numpy(a), np.asarray(classes)
    for k in range(rows.shape[1]):
        ahead = gradients[:, k] / np.linalg.norm(gradients[:, k])
        ends = [numpy(rest(ops.convert_to_tensor(a + sign * step * ahead))).astype(np.float64) for sign in (1, -1)]
        slope = (np.take_along_axis(ends[0] - ends[1], rows[:, k : k + 1], axis=1) / (2 * step)).sum()
        if not abs(slope / np.linalg.norm(gradients[:, k]) - 1) < 0.03:
            return False
    return True


def channels_first(array, axis=-1, at=1):
    return np.moveaxis(array, axis, at)


def functional(function, *shapes):
    inputs = [keras.Input(shape) for shape in shapes or [(6, 9, 1)]]
    return settle(keras.Model(inputs[0] if len(inputs) == 1 else inputs, function(*inputs)))


def head(a, name="dense"):
    return layers.Dense(3, name=name)(mean(a))


def body_model(name="body"):
    i = keras.Input((6, 9, 1))
    return keras.Model(i, body(i), name=name)


@keras.saving.register_keras_serializable("tests")
class Residual(layers.Layer):
    """A block with a connection around its layers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(4, 3, padding="same", name="conv")
        self.norm = layers.BatchNormalization(name="norm")

    def build(self, shape):
        self.conv.build(shape)
        self.norm.build(shape)

    def call(self, x):
        return ops.relu(x + self.norm(self.conv(x)))


class Attending(keras.Model):
    """Patches, tokens, attention."""

    def __init__(self):
        super().__init__()
        self.patches = layers.Conv2D(8, 3, 3, name="patches")
        self.attention = layers.MultiHeadAttention(2, 4, name="attention")
        self.norm = layers.LayerNormalization(name="norm")
        self.dense = layers.Dense(3)
        self(pictures())
        settle(self)

    def call(self, x):
        t = ops.reshape(self.patches(x), (-1, 6, 8))
        return self.dense(ops.mean(self.norm(t + self.attention(t, t)), axis=1))


class Fixed(Subclassed):
    """Works with the batch size as a number."""

    def call(self, x):
        a = self.features(x)
        n = int(x.shape[0])
        return self.dense(ops.stack([ops.mean(a[i], axis=(0, 1)) for i in range(n)]))


class Several(layers.Layer):
    """Answers with several tensors."""

    def call(self, x):
        return {"first": x * 2, "second": [ops.exp(x), None]}


class TakesSeveral(Subclassed):
    """A layer with several outputs in its middle."""

    def __init__(self):
        super().__init__(several=Several(name="several"))

    def call(self, x):
        parts = self.several(self.features(x))
        return self.dense(ops.mean(parts["first"], axis=(1, 2)) + 0.1 * ops.max(parts["second"][0], axis=(1, 2)))

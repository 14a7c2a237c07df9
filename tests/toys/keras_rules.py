"""Gradients of inputs, and what a rule makes of them, by the framework's own autodiff and by loops."""

from functools import partial

import keras
import numpy as np
from keras import layers, ops
from keras_nets import convolve, find, gradients_of, numpy, rows_of, run


def input_gradients(model, x, classes, function=None):
    """(N, K, *x) by plain autodiff; with a function, that of x alone, in place of the model."""
    found = gradients_of(function or partial(run, model), ops.convert_to_tensor(x), np.asarray(classes))
    return np.stack([numpy(gradient) for gradient in found], axis=1)


def unit(rule, cap=np.inf):
    """min(max(x, 0), cap), with the gradient that the rule defines, of Keras' own making."""

    @ops.custom_gradient
    def function(x):
        def grad(*args, upstream=None):
            g = args[0] if upstream is None else upstream
            zero = ops.zeros_like(g)
            if rule != "plain":
                g = ops.where(g > 0, g, zero)
            return g if rule == "deconv" else ops.where((x > 0) & (x < cap), g, zero)

        y = ops.where(x > 0, x, ops.zeros_like(x))
        return (y if cap == np.inf else ops.where(y < cap, y, ops.full_like(y, cap))), grad

    return function


class Unit(layers.Layer):
    """A ReLU of the rule."""

    def __init__(self, rule, cap=np.inf):
        super().__init__()
        self.function = unit(rule, cap)

    def call(self, x):
        return self.function(x)


def by_loops(model, x, classes, rule):
    """The rule in `conv_gap_dense` alone, loop by loop in float64: (N, K, H, W, C)."""
    convs, after, a = [find(model, "conv1"), find(model, "conv2")], [], np.asarray(x, np.float64)
    for conv in convs:
        after.append(convolve(a, conv))
        a = np.maximum(after[-1], 0)
    found = np.zeros((len(x), len(classes[0]), *x.shape[1:]))
    for n, k in np.ndindex(found.shape[:2]):
        g = np.broadcast_to(rows_of(model)[classes[n][k]] / a[n, ..., 0].size, a[n].shape)
        for conv, z in zip(reversed(convs), reversed(after), strict=True):
            passed = np.zeros(g.shape)
            for place in np.ndindex(g.shape):
                is_on = z[n][place] > 0 or rule == "deconv"
                passed[place] = g[place] if is_on and (g[place] > 0 or rule == "plain") else 0
            g = _back_through(numpy(conv.kernel).astype(np.float64), passed)
        found[n, k] = g
    return found


def _back_through(kernel, g):
    """The gradient at a convolution's input, "same", stride 1, from that at its output (H, W, O): (H, W, C)."""
    height, width, channels, _ = kernel.shape
    found = np.zeros((*g.shape[:2], channels))
    for y, x in np.ndindex(g.shape[:2]):
        for i, j in np.ndindex(height, width):
            above, beside = y + i - height // 2, x + j - width // 2
            if 0 <= above < g.shape[0] and 0 <= beside < g.shape[1]:
                found[above, beside] += kernel[i, j] @ g[y, x]
    return found


def framework_relu():
    """The framework's own ReLU, as it is passed to `activation=`."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.nn.relu
    if keras.backend.backend() == "jax":
        import jax

        return jax.nn.relu
    import torch

    return torch.nn.functional.relu

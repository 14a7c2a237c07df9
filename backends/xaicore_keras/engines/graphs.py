"""What a graph of TensorFlow shows: what its tensors depend on, where gradients arrive, and how it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from xaicore_keras.arrivals import are_many
from xaicore_keras.seen import mixture

__all__ = ["arrivals_of", "link_of", "origins", "pulled_to_input"]

# Operations that keep values, at most in another shape or type.
_PASSING = {"Identity", "Reshape", "Squeeze", "ExpandDims", "Cast", "StridedSlice", "EnsureShape"}
_LINKS = {"Softmax": "softmax", "Sigmoid": "sigmoid"}


def origins(tensors: Sequence[Any], feeds: Sequence[Any]) -> list[tuple[int, ...] | None]:
    """The positions of the feeds, or of other tensors of this graph, that each tensor depends on."""
    own = {feed.op: frozenset([i]) for i, feed in enumerate(feeds)}
    known: dict[Any, frozenset[int]] = {}
    for tensor in tensors:
        pending = [] if tensor is None else [tensor.op]
        while pending:
            before = [source.op for source in pending[-1].inputs]
            missing = [op for op in before if op not in known]
            if pending[-1] not in known and missing:
                pending += missing
            else:
                op = pending.pop()
                known.setdefault(op, own.get(op, frozenset()).union(*(known[source] for source in before)))
    return [None if tensor is None else tuple(sorted(known[tensor.op])) for tensor in tensors]


def arrivals_of(y: Any, tensors: Sequence[Any]) -> list[Any]:
    """For each tensor the gradient of a mixture of y, of its shape.

    Where these are too many, along all axes of the tensor in one vector, where the gradient is not zero.
    """
    if not y.dtype.is_floating or not y.shape.is_fully_defined():
        return [None] * len(tensors)
    can_tell = [t is not None and t.dtype.is_floating and t.shape.is_fully_defined() for t in tensors]
    ends = [tensor for tensor, can in zip(tensors, can_tell, strict=True) if can]
    try:
        gradients = iter(tf.gradients(y, ends, tf.cast(mixture(y.shape), y.dtype)) if ends else ())
    except Exception:  # an operation without a gradient: nothing is known of what lies before it
        return [None] * len(tensors)
    found = _along_axes if are_many(end.shape for end in ends) else _dense
    return [found(next(gradients), t) if can else None for t, can in zip(tensors, can_tell, strict=True)]


def _dense(gradient: Any, tensor: Any) -> Any:
    return tf.zeros(tensor.shape, tf.bool) if gradient is None else tf.convert_to_tensor(gradient)


def _along_axes(gradient: Any, tensor: Any) -> Any:
    axes = range(len(tensor.shape))
    if gradient is None or not axes:
        return tf.zeros([sum(tensor.shape)], tf.bool)
    is_there = tf.not_equal(tf.convert_to_tensor(gradient), 0)
    return tf.concat([tf.reduce_any(is_there, [other for other in axes if other != axis]) for axis in axes], 0)


def pulled_to_input(tensor: Any, feed: Any, weights: np.ndarray) -> Any:
    """The gradient at a placeholder of the sum of weights * tensor, added to their graph; None where there is none."""
    if tensor is None or tensor.graph is not feed.graph or not tensor.dtype.is_floating or not feed.dtype.is_floating:
        return None
    with feed.graph.as_default():
        try:
            (gradient,) = tf.gradients(tensor, feed, tf.cast(weights, tensor.dtype))
        except Exception:  # an operation without a gradient
            return None
        return None if gradient is None else tf.cast(tf.convert_to_tensor(gradient), tf.float32)


def link_of(y: Any) -> str | None:
    """The link that the last operation computes."""
    op = y.op
    while op.type in _PASSING:
        op = op.inputs[0].op
    if op.type == "Softmax" and op.outputs[0].shape[-1] != y.shape[-1]:
        return None  # over a part of the outputs
    return _LINKS.get(op.type)

"""Gradients of some of TensorFlow's operations, by the rule that is applied while they are added to the graph."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from xaicore_keras.rules import RELU_RULES

__all__ = ["applied", "has_hidden_relus", "marked"]

_RELUS = {"Relu": "XaicoreRelu", "Relu6": "XaicoreRelu6"}
"""{type of operation: the name under which its gradient is registered}."""

_MARKS = {**_RELUS, "StopGradient": "XaicoreStopGradient"}


@dataclass
class _Applied:
    rule: str
    count: int = 0


_applied: ContextVar[_Applied] = ContextVar("xaicore_rule", default=_Applied("plain"))  # noqa: B039


@contextlib.contextmanager
def marked(graph: tf.Graph) -> Iterator[None]:
    """ReLUs that are made meanwhile follow the rule that is applied; variances have second derivatives."""
    with graph.gradient_override_map(_MARKS):
        yield


@contextlib.contextmanager
def applied(rule: str) -> Iterator[_Applied]:
    """Gradients that are made meanwhile pass marked ReLUs by this rule; `count` tells how often that was."""
    state = _Applied(rule)
    token = _applied.set(state)
    try:
        yield state
    finally:
        _applied.reset(token)


def has_hidden_relus(graph: tf.Graph) -> bool:
    """Whether ReLUs lie in functions that this graph calls, such as loops and saved models, where none is marked."""
    return any(node.op in _RELUS for function in graph.as_graph_def().library.function for node in function.node_def)


def _relu(op: Any, gradient: Any) -> Any:
    state = _applied.get()
    state.count += 1
    if state.rule in RELU_RULES:
        gradient = tf.nn.relu(gradient)
    if state.rule == "deconv":
        return gradient
    return tf.raw_ops.ReluGrad(gradients=gradient, features=op.outputs[0])


def _relu6(op: Any, gradient: Any) -> Any:
    state = _applied.get()
    if state.rule not in RELU_RULES or _is_hard_sigmoid(op):
        return tf.raw_ops.Relu6Grad(gradients=gradient, features=op.outputs[0])
    state.count += 1
    gradient = tf.nn.relu(gradient)
    if state.rule == "deconv":
        return gradient
    return tf.raw_ops.Relu6Grad(gradients=gradient, features=op.outputs[0])


def _stop_gradient(op: Any, gradient: Any) -> Any:
    """A variance is the mean of (x - stop_gradient(mean(x)))^2 in TensorFlow: right for first derivatives alone."""
    mean, uses = op.inputs[0].op, op.outputs[0].consumers()
    squares = (use for use in uses if use.type == "SquaredDifference")
    is_variance = mean.type == "Mean" and any(square.inputs[0] is mean.inputs[0] for square in squares)
    return gradient if is_variance else None


def _is_hard_sigmoid(op: Any) -> bool:
    """Whether a ReLU6 is a part of relu6(x + 3) / 6, as which Keras computes a hard sigmoid, which is no ReLU."""
    shift, scales = op.inputs[0].op, op.outputs[0].consumers()
    is_shifted = shift.type in ("Add", "AddV2") and _is_constant(shift.inputs[1], 3)
    return is_shifted and any(scale.type == "RealDiv" and _is_constant(scale.inputs[1], 6) for scale in scales)


def _is_constant(tensor: Any, value: float) -> bool:
    known = tf.get_static_value(tensor)
    return known is not None and known.ndim == 0 and known == value


tf.RegisterGradient("XaicoreRelu")(_relu)
tf.RegisterGradient("XaicoreRelu6")(_relu6)
tf.RegisterGradient("XaicoreStopGradient")(_stop_gradient)

"""The two steps that TensorFlow runs, cut out of one graph."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from xaicore_keras.asked import Leaf, Tap
from xaicore_keras.engines.tensorflow_products import quick_products
from xaicore_keras.engines.tensorflow_rules import applied, has_hidden_relus, marked
from xaicore_keras.private import is_captured, prunable_graph
from xaicore_keras.rules import RELU_RULES, SECOND, hidden_relus, no_relus
from xaicore_keras.run import Program
from xaicore_keras.state import preserved_model

__all__ = ["Steps", "concrete", "inlined"]

# Operations that the second step repeats, since that costs less than to pass their results on.
_REPEATED = {"Const", "ReadVariableOp"}
_LOOPS = {"While", "StatelessWhile"}


class Steps:
    """The two steps, compiled. They do not refer to the model; only the graph that they are cut from does."""

    def __init__(self, program: Program, specs: Sequence[tf.TensorSpec], inline: bool) -> None:
        self._asked, self._model = program.asked, program.model
        asked, model = program.asked, program.model()
        taken: dict[Leaf, Any] = {}
        feeds: dict[str, Any] = {}
        read: list[Any] = []
        cut: list[Any] = []
        pulled: dict[str, _Gradients] = {}

        def body() -> None:
            feeds["x"] = [tf.compat.v1.placeholder(spec.dtype, spec.shape) for spec in specs]
            graph = tf.compat.v1.get_default_graph()
            with preserved_model(model), inlined(inline or asked.has_rules), quick_products(graph):
                around = marked(graph) if asked.has_rules or asked.ends(SECOND) else None
                y = program(feeds["x"], {leaf: _tap(taken, leaf) for leaf in asked.leaves}, around=around)
            if asked.has_rules and has_hidden_relus(graph):
                raise hidden_relus(model, "a loop or a saved model")
            read[:] = [tf.cast(t, tf.float32) for t in (y, *(taken[leaf] for leaf in asked.read))]
            if asked.pulls:
                forward_ops = set(graph.get_operations())
                feeds["direction"] = tf.compat.v1.placeholder(tf.float32, [None, None, *y.shape[1:]])
                for rule, ends in asked.pulls:
                    pulled[rule] = _Gradients.of(y, [taken[leaf] for leaf in ends], feeds["direction"], rule)
                cut[:] = _cut([t for found in pulled.values() for t in (*found.one, *found.many)], forward_ops)

        prune = prunable_graph(body)
        self._forward = _compiled(prune, feeds["x"], [*read, *cut])
        self._pulls = {rule: _Pull(prune, [feeds["direction"], *cut], found) for rule, found in pulled.items()}

    def forward(self, tensors: Sequence[Any]) -> tuple[Any, list[Any], list[Any]]:
        """(outputs, values, the tensors that `pull` needs)."""
        outputs, *rest = self._forward(*tensors)
        count = len(self._asked.read)
        return outputs, rest[:count], rest[count:]

    def pull(self, direction: np.ndarray, cut: Sequence[Any], rule: str) -> list[np.ndarray | None]:
        """The gradient (N, K, ...) at each end for a direction (N, K, *O); None without a path to the outputs."""
        step = self._pulls[rule]
        if rule in RELU_RULES and not step.passes_relus:
            raise no_relus(self._model(), rule)
        return step(direction, cut)


def _tap(taken: dict[Leaf, Any], leaf: Leaf) -> Tap:
    def tap(tensor: Any) -> Any:
        taken[leaf] = tensor
        return tensor

    return tap


@dataclass(frozen=True)
class _Gradients:
    """Pull-backs of one direction per image and, in one batch, of many, to those ends that the gradient reaches."""

    reached: list[bool]
    one: list[Any]
    many: list[Any]
    passes_relus: bool

    @classmethod
    def of(cls, y: Any, ends: Sequence[Any], direction: Any, rule: str) -> _Gradients:
        """The gradients of y (N, *O) at some tensors for a direction (N, K, *O), added to their graph."""
        rows = tf.cast(_swapped(direction), y.dtype)
        differentiate = _second if rule == SECOND else _first
        with applied(rule) as passed:
            one = differentiate(y, ends, rows[0])
            reached = [gradient is not None for gradient in one]
            ends = [end for end, is_reached in zip(ends, reached, strict=True) if is_reached]
            many = tf.vectorized_map(lambda row: differentiate(y, ends, row), rows) if ends else []
        return cls(
            reached,
            [tf.cast(gradient, tf.float32)[:, None] for gradient in one if gradient is not None],
            [_swapped(tf.cast(gradient, tf.float32)) for gradient in many],
            passed.count > 0,
        )


def _first(y: Any, ends: Sequence[Any], row: Any) -> list[Any]:
    return tf.gradients(y, ends, grad_ys=row)


def _second(y: Any, ends: Sequence[Any], row: Any) -> list[Any]:
    """The Hessian of a score times each end's own values: the gradient of gradient * values, with these constant."""
    gradients = tf.gradients(y, ends, grad_ys=row)
    found: list[Any] = []
    for end, gradient in zip(ends, gradients, strict=True):
        if gradient is None:
            found.append(None)
            continue
        (again,) = tf.gradients(gradient, end, grad_ys=tf.stop_gradient(end))
        found.append(tf.zeros_like(end) if again is None else again)
    return found


class _Pull:
    """The second step under one rule."""

    def __init__(self, prune: Callable[..., Any], feeds: list[Any], gradients: _Gradients) -> None:
        self._reached, self.passes_relus = gradients.reached, gradients.passes_relus
        if any(self._reached):
            self._one = _compiled(prune, feeds, gradients.one)
            self._many = _compiled(prune, feeds, gradients.many)

    def __call__(self, direction: np.ndarray, cut: Sequence[Any]) -> list[np.ndarray | None]:
        if not any(self._reached):
            return [None for _ in self._reached]
        step = self._one if direction.shape[1] == 1 else self._many
        with tf.init_scope():
            gradients = iter(step(tf.constant(direction), *cut))
        return [next(gradients).numpy() if reached else None for reached in self._reached]


def _swapped(tensor: Any) -> Any:
    """(N, K, ...) as (K, N, ...), and back."""
    return tf.transpose(tensor, [1, 0, *range(2, len(tensor.shape))])


def _cut(gradients: Sequence[Any], forward_ops: set[Any]) -> list[Any]:
    """The tensors of the forward pass that these gradients read, without weights and constants."""
    cut: dict[Any, Any] = {}
    seen: set[Any] = set()
    pending = list(gradients)
    while pending:
        tensor = pending.pop()
        if tensor.ref() in seen:
            continue
        seen.add(tensor.ref())
        if tensor.op not in forward_ops:
            pending.extend(tensor.op.inputs)
        elif not _is_repeated(tensor.op) and not is_captured(tensor):
            # Of a loop all outputs, since TensorFlow also lifts some of what lies before another loop.
            outputs = tensor.op.outputs if tensor.op.type in _LOOPS else [tensor]
            cut.update((output.ref(), output) for output in outputs)
    return list(cut.values())


def _is_repeated(op: Any) -> bool:
    """Whether it reads a constant or weight, also one that mixed precision casts to another type."""
    return op.type in _REPEATED or (op.type in ("Cast", "Identity") and _is_repeated(op.inputs[0].op))


def _compiled(prune: Callable[..., Any], feeds: list[Any], fetches: list[Any]) -> Any:
    """A part of the graph as a function, wrapped in another, because only then is it optimised."""
    function = prune(feeds, fetches)
    signature = [tf.TensorSpec(t.shape, t.dtype) for t in feeds]
    return concrete(lambda *tensors: function(*tensors), signature)


def concrete(function: Callable[..., Any], signature: Sequence[tf.TensorSpec]) -> Any:
    """A function, traced."""
    return tf.function(function, input_signature=signature, autograph=False).get_concrete_function()


@contextlib.contextmanager
def inlined(inline: bool) -> Iterator[None]:
    """Inline the user's own `tf.function`s: inside of a graph, that is what running them "eagerly" means.

    A switch of the whole process, so it is set only for models that need it.
    """
    before = tf.config.functions_run_eagerly()
    try:
        if inline:
            tf.config.run_functions_eagerly(True)
        yield
    finally:
        if inline:
            tf.config.run_functions_eagerly(before)

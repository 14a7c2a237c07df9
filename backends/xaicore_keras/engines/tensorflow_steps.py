"""The two steps that TensorFlow runs, cut out of one graph."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from xaicore_keras.asked import Leaf, Tap
from xaicore_keras.engines.tensorflow_cut import concrete, cut_out, kept
from xaicore_keras.engines.tensorflow_products import quick_products
from xaicore_keras.engines.tensorflow_rules import applied, has_hidden_relus, marked
from xaicore_keras.private import graph_function
from xaicore_keras.rules import RELU_RULES, SECOND, hidden_relus, no_relus
from xaicore_keras.run import Program
from xaicore_keras.state import preserved_model

__all__ = ["Steps", "inlined"]


class Steps:
    """The two steps, compiled; the second when it is first asked for one target or for several. No step, and nothing
    of the graph that they are cut from, refers to the model."""

    def __init__(self, program: Program, specs: Sequence[tf.TensorSpec], inline: bool) -> None:
        self._asked, self._model = program.asked, program.model
        asked = program.asked
        taken: dict[Leaf, Any] = {}
        feeds: list[Any] = []
        cut: list[Any] = []
        pulled: dict[str, _Gradients] = {}

        def body(*tensors: Any) -> list[Any]:
            model = program.model()
            graph = tf.compat.v1.get_default_graph()
            with preserved_model(model), inlined(inline or asked.has_rules), quick_products(graph):
                around = marked(graph) if asked.has_rules or asked.ends(SECOND) else None
                y = program(tensors, {leaf: _tap(taken, leaf) for leaf in asked.leaves}, around=around)
            if asked.has_rules and has_hidden_relus(graph):
                raise hidden_relus(model, "a loop or a saved model")
            read = [tf.cast(t, tf.float32) for t in (y, *(taken[leaf] for leaf in asked.read))]
            if asked.pulls:
                forward_ops = set(graph.get_operations())
                direction = tf.compat.v1.placeholder(tf.float32, [None, None, *y.shape[1:]])
                for rule, ends in asked.pulls:
                    pulled[rule] = _Gradients.of(y, [taken[leaf] for leaf in ends], direction, rule)
                cut[:] = kept([t for found in pulled.values() for t in (*found.one, *found.many)], forward_ops)
                feeds[:] = [direction, *cut]
            return [*read, *cut]

        function = graph_function(body, specs)
        # Wrapped in another function, because only then is it optimised.
        self._forward = concrete(lambda *tensors: function(*tensors), specs)
        self._pulls = {rule: _Pull(feeds, found) for rule, found in pulled.items()}

    def forward(self, tensors: Sequence[Any]) -> tuple[Any, list[Any], list[Any]]:
        """(outputs, values, the tensors that `pull` needs)."""
        outputs, *rest = self._forward(*tensors)
        count = len(self._asked.read)
        return outputs, rest[:count], rest[count:]

    def pull(self, direction: np.ndarray, cut: Sequence[Any], rule: str) -> list[Any]:
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
            many = _each(lambda row: differentiate(y, ends, row), rows) if ends else []
        return cls(
            reached,
            [tf.cast(gradient, tf.float32)[:, None] for gradient in one if gradient is not None],
            [_swapped(tf.cast(gradient, tf.float32)) for gradient in many],
            passed.count > 0,
        )


def _each(differentiate: Callable[[Any], list[Any]], rows: Any) -> list[Any]:
    """The gradients of each row, in one batch; one after the other where TensorFlow does not vectorise an operation.

    Such are the second derivatives of its loops, as those of recurrent layers.
    """
    try:
        found: list[Any] = tf.vectorized_map(differentiate, rows)
    except TypeError:
        found = tf.map_fn(differentiate, rows, fn_output_signature=[one.dtype for one in differentiate(rows[0])])
    return found


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

    def __init__(self, feeds: list[Any], gradients: _Gradients) -> None:
        self._reached, self.passes_relus = gradients.reached, gradients.passes_relus
        self._steps = {
            is_one: functools.cache(functools.partial(cut_out, feeds, fetches))
            for is_one, fetches in ((True, gradients.one), (False, gradients.many))
        }

    def __call__(self, direction: np.ndarray, cut: Sequence[Any]) -> list[Any]:
        if not any(self._reached):
            return [None for _ in self._reached]
        with tf.init_scope():
            step = self._steps[direction.shape[1] == 1]()
            gradients = iter(step(tf.constant(direction), *cut))
        return [next(gradients) if reached else None for reached in self._reached]


def _swapped(tensor: Any) -> Any:
    """(N, K, ...) as (K, N, ...), and back."""
    return tf.transpose(tensor, [1, 0, *range(2, len(tensor.shape))])


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

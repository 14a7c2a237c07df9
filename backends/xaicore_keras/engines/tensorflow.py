"""TensorFlow: two compiled steps that share the forward pass's intermediates.

One graph holds the forward pass and its gradients for any direction. It is cut between the two: the first step
returns, beside outputs and activations, the tensors that the gradients read; the second takes them and a direction.
So the direction is chosen in plain Python, and nothing is computed twice. One trace serves every batch size and
any number of targets.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from xaicore_keras.engines import Engine, Forward, Run
from xaicore_keras.inputs import Inputs
from xaicore_keras.run import Program
from xaicore_keras.state import left_as_found
from xaicore_keras.traces import Traces

__all__ = ["TensorFlowEngine"]

_PASSING = {"Identity", "Reshape", "Squeeze", "ExpandDims", "Cast", "StridedSlice", "EnsureShape"}
_LINKS = {"Softmax": "softmax", "Sigmoid": "sigmoid"}
# Cheaper to read again than to hand over.
_READ_AGAIN = {"Const", "ReadVariableOp"}


class TensorFlowEngine(Engine):
    """See the module."""

    def look(self, run: Run, model: Any, given: Inputs, inlined: bool) -> tuple[Any, str | None]:
        """A trace, which computes nothing."""
        seen: list[Any] = []

        def body(*tensors: Any) -> None:
            with _inlined(inlined):
                seen[:] = [run(tensors, None)]

        with tf.init_scope():
            _concrete(body, _specs(given, static=True))
        return seen[0], _link(seen[0])

    def hides(self, y: Any, tensor: Any) -> bool:
        """A loop has a graph of its own, and so has a call under `tf.function` that is not inlined."""
        return tensor.graph is not y.graph

    def outside(self) -> contextlib.AbstractContextManager[Any]:
        """Off the tape, out of the graph."""
        return tf.init_scope()

    def forward(self, program: Program, traces: Traces, given: Inputs, layers: Sequence[str], pulls: bool) -> Forward:
        """The first step; `pull` is the second."""
        key = ("forward", tuple(layers), pulls, program.output)
        inlined = bool(traces.facts.get("inlined"))
        with tf.init_scope():  # off the caller's gradient tape, out of the caller's graph
            steps: Steps = _trace(traces, given, key, lambda specs: Steps(program, specs, layers, pulls, inlined))
            outputs, activations, cut = steps.forward(list(map(tf.convert_to_tensor, given.tensors)))
        return Forward(outputs.numpy(), [a.numpy() for a in activations], lambda direction: steps.pull(direction, cut))

    def resume(
        self, program: Program, traces: Traces, given: Inputs, layer: str, activations: np.ndarray
    ) -> np.ndarray:
        """A graph in which the activations are an input; what led to them is pruned."""
        shape = (None, *activations.shape[1:])
        inlined = bool(traces.facts.get("inlined"))

        repeats = len(activations) // given.count

        def make(specs: list[tf.TensorSpec]) -> Any:
            is_static = specs[0].shape.rank > 0 and all(spec.shape[0] is not None for spec in specs if spec.shape.rank)

            def body(start: Any, times: Any, *tensors: Any) -> Any:
                times = repeats if is_static else times  # else a batch size that the model asks for would be lost
                rows = [tf.repeat(t, times, axis=0) if t.shape.rank else t for t in tensors]
                with left_as_found(program.model()), _inlined(inlined):
                    return tf.cast(program(rows, {layer: lambda t: tf.cast(start, t.dtype)}), tf.float32)

            starts = tf.TensorSpec(activations.shape if is_static else shape, tf.float32)
            return _concrete(body, [starts, tf.TensorSpec([], tf.int32), *specs])

        with tf.init_scope():
            step = _trace(traces, given, ("resume", layer, shape, program.output), make, static_key=(repeats,))
            tensors = map(tf.convert_to_tensor, given.tensors)
            return step(tf.constant(activations), tf.constant(repeats), *tensors).numpy()


class Steps:
    """The two steps, compiled. The graph that they are cut from knows the model; they do not."""

    def __init__(
        self, program: Program, specs: Sequence[tf.TensorSpec], layers: Sequence[str], pulls: bool, inlined: bool
    ) -> None:
        taps: dict[str, Any] = {}
        feeds: dict[str, Any] = {}
        fetches: dict[str, Any] = {"cut": [], "one": [], "many": []}

        def body() -> None:
            feeds["x"] = [tf.compat.v1.placeholder(spec.dtype, spec.shape) for spec in specs]
            with left_as_found(program.model()), _inlined(inlined):
                y = program(feeds["x"], {name: _keeper(taps, name) for name in layers})
            activations = [taps[name] for name in layers]
            fetches["forward"] = [tf.cast(t, tf.float32) for t in (y, *activations)]
            if pulls:
                forward_ops = set(y.graph.get_operations())
                feeds["direction"] = tf.compat.v1.placeholder(tf.float32, [None, None, *y.shape[1:]])
                fetches.update(_gradients(y, activations, feeds["direction"]))
                fetches["cut"] = _cut(fetches["one"] + fetches["many"], forward_ops)

        whole = tf.compat.v1.wrap_function(body, [])
        self._forward = _compile(whole, feeds["x"], [*fetches["forward"], *fetches["cut"]])
        self._layers = len(layers)
        self._reached = fetches.get("reached", [])
        if any(self._reached):
            given = [feeds["direction"], *fetches["cut"]]
            self._one = _compile(whole, given, fetches["one"])
            self._many = _compile(whole, given, fetches["many"])

    def forward(self, tensors: Sequence[Any]) -> tuple[Any, list[Any], list[Any]]:
        """(outputs, activations, what `pull` needs)."""
        outputs, *rest = self._forward(*tensors)
        return outputs, rest[: self._layers], rest[self._layers :]

    def pull(self, direction: np.ndarray, cut: Sequence[Any]) -> list[np.ndarray | None]:
        """A direction (N, K, *O) at the layers; None where one does not reach the outputs."""
        if not any(self._reached):
            return [None] * self._layers
        step = self._one if direction.shape[1] == 1 else self._many
        with tf.init_scope():
            found = iter(step(tf.constant(direction), *cut))
        return [next(found).numpy() if reached else None for reached in self._reached]


def _trace(
    traces: Traces, given: Inputs, key: tuple[Any, ...], make: Callable[[Any], Any], static_key: tuple[Any, ...] = ()
) -> Any:
    """One trace for every batch size; one a batch size where the model wants to know it (`x.shape[0]`)."""
    failed: Exception | None = None
    if not traces.facts.get("static batch"):
        try:
            return traces.get((*key, given.signature(False)), lambda: make(_specs(given, static=False)))
        except Exception as exc:  # whatever a model does with an unknown batch size
            failed = exc
    try:
        made = traces.get((*key, *static_key, given.signature(True)), lambda: make(_specs(given, static=True)))
    except Exception as exc:
        raise exc from failed
    traces.facts["static batch"] = True
    return made


def _keeper(kept: dict[str, Any], name: str) -> Callable[[Any], Any]:
    def keep(tensor: Any) -> Any:
        kept[name] = tensor
        return tensor

    return keep


def _gradients(y: Any, activations: Sequence[Any], direction: Any) -> dict[str, list[Any]]:
    """Pull-backs of one direction an image, and of many in one batch of gradients; which layers are reached."""
    rows = tf.cast(_swapped(direction), y.dtype)
    one = tf.gradients(y, activations, grad_ys=rows[0])
    reached = [gradient is not None for gradient in one]
    ends = [a for a, is_reached in zip(activations, reached, strict=True) if is_reached]
    many: list[Any] = []
    if ends:
        many = tf.vectorized_map(lambda row: tf.gradients(y, ends, grad_ys=row), rows)
    return {
        "reached": reached,
        "one": [tf.cast(gradient, tf.float32)[:, None] for gradient in one if gradient is not None],
        "many": [_swapped(tf.cast(gradient, tf.float32)) for gradient in many],
    }


def _swapped(tensor: Any) -> Any:
    """(N, K, ...) as (K, N, ...), and back."""
    return tf.transpose(tensor, [1, 0, *range(2, len(tensor.shape))])


def _cut(gradients: Sequence[Any], forward_ops: set[Any]) -> list[Any]:
    """The tensors of the forward pass that these gradients read; weights are read again, at the same cost."""
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
        elif not _is_read_again(tensor.op) and not _is_captured(tensor):
            cut[tensor.ref()] = tensor
    return list(cut.values())


def _is_read_again(op: Any) -> bool:
    """A constant or weight, also one that mixed precision has in another type."""
    return op.type in _READ_AGAIN or (op.type in ("Cast", "Identity") and _is_read_again(op.inputs[0].op))


def _is_captured(tensor: Any) -> bool:
    return any(tensor is captured for captured in tensor.graph.internal_captures)


def _compile(whole: Any, feeds: list[Any], fetches: list[Any]) -> Any:
    """A part of the graph as a function; wrapped once more, because only then is it optimised."""
    part = whole.prune(feeds, fetches)
    signature = [tf.TensorSpec(t.shape, t.dtype) for t in feeds]
    return _concrete(lambda *tensors: part(*tensors), signature)


def _specs(given: Inputs, static: bool) -> list[tf.TensorSpec]:
    _, shapes, types = given.signature(static)
    return [tf.TensorSpec(shape, dtype) for shape, dtype in zip(shapes, types, strict=True)]


def _concrete(function: Callable[..., Any], signature: Sequence[tf.TensorSpec]) -> Any:
    return tf.function(function, input_signature=signature, autograph=False).get_concrete_function()


@contextlib.contextmanager
def _inlined(wanted: bool) -> Iterator[None]:
    """Trace `tf.function`s of the user's flat: "eagerly", which means no more inside of a graph.

    A switch of the whole process, so it is touched only for models that need it.
    """
    before = tf.config.functions_run_eagerly()
    try:
        if wanted:
            tf.config.run_functions_eagerly(True)
        yield
    finally:
        if wanted:
            tf.config.run_functions_eagerly(before)


def _link(y: Any) -> str | None:
    op = y.op
    while op.type in _PASSING:
        op = op.inputs[0].op
    if op.type == "Softmax" and op.outputs[0].shape[-1] != y.shape[-1]:
        return None  # over parts of the outputs
    return _LINKS.get(op.type)

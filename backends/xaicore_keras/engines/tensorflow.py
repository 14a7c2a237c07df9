"""TensorFlow: two compiled steps that share the intermediates of the forward pass.

One graph holds the forward pass and its gradients for any direction. It is cut between the two: the first step
returns outputs, activations and the tensors that the gradients read; the second takes these tensors and a direction.
So the direction is chosen in plain Python, and nothing is computed twice. One trace serves every batch size and any
number of targets.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from xaicore_keras.calls import Call, Recorder
from xaicore_keras.engine import Engine, Forward, Run
from xaicore_keras.engines.graphs import arrivals_of, link_of, origins, pulled_to_input
from xaicore_keras.facts import Flow, Seen, along_axes
from xaicore_keras.inputs import Inputs
from xaicore_keras.private import is_captured, prunable_graph
from xaicore_keras.run import Program, Tap
from xaicore_keras.state import preserved_model
from xaicore_keras.traces import Traces

__all__ = ["TensorFlowEngine"]

# Operations that the second step repeats, since that costs less than to pass their results on.
_REPEATED = {"Const", "ReadVariableOp"}
_LOOPS = {"While", "StatelessWhile"}


class TensorFlowEngine(Engine):
    """Runs models as graph functions, with gradients by `tf.gradients`."""

    def survey(self, run: Run, model: Any, batch: Inputs, inline: bool, recorder: Recorder) -> Seen:
        """A trace; what it computes is where the gradient arrives, and nothing that only has effects."""
        feeds: list[Any] = []
        outputs: list[Any] = []
        flows: list[Flow] = []
        arrivals: list[Any] = []

        def body() -> None:
            feeds[:] = [tf.compat.v1.placeholder(spec.dtype, spec.shape) for spec in _specs(batch, static=True)]
            with _inlined(inline):
                y = run(feeds, None)
            outputs[:] = [y]
            visible = [None if self.hides(y, call.output) else call.output for call in recorder.calls]
            is_known = inline or None not in visible
            inputs = [call.input for call in recorder.calls]
            taken = [None if one is None or self.hides(y, one) else one for one in inputs]
            known = zip(origins(visible, feeds), origins(taken, feeds), strict=True) if is_known else ()
            flows[:] = [Flow(reads, takes=takes) for reads, takes in known] or [Flow()] * len(visible)
            arrivals[:] = arrivals_of(y, visible) if is_known else [None] * len(visible)

        def pull(taken: Any, i: int, weights: np.ndarray) -> np.ndarray | None:
            with tf.init_scope(), contextlib.suppress(tf.errors.OpError):
                gradient = pulled_to_input(taken, feeds[i], weights)
                return None if gradient is None else prune(feeds, gradient)(*arrays).numpy()
            return None

        with tf.init_scope():
            arrays = [tf.convert_to_tensor(tensor) for tensor in batch.tensors]
            prune = prunable_graph(body)
            wanted = [arrival for arrival in arrivals if arrival is not None]
            with contextlib.suppress(tf.errors.OpError):  # what cannot run here can still be listed
                values = iter(prune(feeds, wanted)(*arrays) if wanted else ())
                flows[:] = [
                    flow if arrival is None else replace(flow, reached=along_axes(next(values).numpy(), call.shape))
                    for flow, arrival, call in zip(flows, arrivals, recorder.calls, strict=True)
                ]
        flows = [
            replace(flow, pull=functools.partial(pull, call.input), among=functools.partial(_among, call.output))
            for flow, call in zip(flows, recorder.calls, strict=True)
        ]
        return Seen(outputs[0], link_of(outputs[0]), flows)

    def hides(self, y: Any, tensor: Any) -> bool:
        """A loop has a graph of its own, and so has a `tf.function` that is not inlined; an eager constant has none."""
        return getattr(tensor, "graph", None) is not y.graph

    def isolated(self) -> contextlib.AbstractContextManager[Any]:
        """Not recorded by a gradient tape, not added to a graph."""
        return tf.init_scope()

    @contextlib.contextmanager
    def eager(self, model: Any, batch: Inputs, inline: bool) -> Iterator[list[Any]]:
        """Inlined, the user's own compiled functions run as plain ones."""
        with super().eager(model, batch, inline) as tensors, _inlined(inline):
            yield tensors

    def forward(self, program: Program, traces: Traces, batch: Inputs, with_gradients: bool) -> Forward:
        """The first step; `pull` is the second."""
        key = ("forward", program.layers, with_gradients, program.output)
        inline = bool(traces.facts.get("inline"))
        with tf.init_scope():
            steps: Steps = _traced(traces, batch, key, lambda specs: Steps(program, specs, with_gradients, inline))
            outputs, activations, cut = steps.forward(list(map(tf.convert_to_tensor, batch.tensors)))
        return Forward(outputs.numpy(), [a.numpy() for a in activations], lambda direction: steps.pull(direction, cut))

    def resume(self, program: Program, traces: Traces, batch: Inputs, activations: np.ndarray) -> np.ndarray:
        """A graph with the activations as an input, less the operations that only led to them."""
        (layer,), shape = program.layers, (None, *activations.shape[1:])
        inline = bool(traces.facts.get("inline"))
        repeats = len(activations) // batch.count

        def make(specs: list[tf.TensorSpec]) -> Any:
            is_static = specs[0].shape.rank > 0 and all(spec.shape[0] is not None for spec in specs if spec.shape.rank)

            def body(start: Any, times: Any, *tensors: Any) -> Any:
                times = repeats if is_static else times  # a model that reads its batch size needs a constant
                rows = [tf.repeat(t, times, axis=0) if t.shape.rank else t for t in tensors]
                with preserved_model(program.model()), _inlined(inline):
                    return tf.cast(program(rows, {layer: lambda t: tf.cast(start, t.dtype)}), tf.float32)

            start_spec = tf.TensorSpec(activations.shape if is_static else shape, tf.float32)
            return _concrete(body, [start_spec, tf.TensorSpec([], tf.int32), *specs])

        with tf.init_scope():
            step = _traced(traces, batch, ("resume", layer, shape, program.output), make, static_key=(repeats,))
            tensors = map(tf.convert_to_tensor, batch.tensors)
            return step(tf.constant(activations), tf.constant(repeats), *tensors).numpy()


class Steps:
    """The two steps, compiled. They do not refer to the model; only the graph that they are cut from does."""

    def __init__(self, program: Program, specs: Sequence[tf.TensorSpec], with_gradients: bool, inline: bool) -> None:
        taken: dict[str, Any] = {}
        feeds: dict[str, Any] = {}
        fetches: dict[str, Any] = {"cut": [], "one": [], "many": []}

        def body() -> None:
            feeds["x"] = [tf.compat.v1.placeholder(spec.dtype, spec.shape) for spec in specs]
            with preserved_model(program.model()), _inlined(inline):
                y = program(feeds["x"], {name: _tap(taken, name) for name in program.layers})
            activations = [taken[name] for name in program.layers]
            fetches["forward"] = [tf.cast(t, tf.float32) for t in (y, *activations)]
            if with_gradients:
                forward_ops = set(y.graph.get_operations())
                feeds["direction"] = tf.compat.v1.placeholder(tf.float32, [None, None, *y.shape[1:]])
                fetches.update(_gradients(y, activations, feeds["direction"]))
                fetches["cut"] = _cut(fetches["one"] + fetches["many"], forward_ops)

        prune = prunable_graph(body)
        self._forward = _compiled(prune, feeds["x"], [*fetches["forward"], *fetches["cut"]])
        self._layers = len(program.layers)
        self._reached = fetches.get("reached", [])
        if any(self._reached):
            arguments = [feeds["direction"], *fetches["cut"]]
            self._one = _compiled(prune, arguments, fetches["one"])
            self._many = _compiled(prune, arguments, fetches["many"])

    def forward(self, tensors: Sequence[Any]) -> tuple[Any, list[Any], list[Any]]:
        """(outputs, activations, the tensors that `pull` needs)."""
        outputs, *rest = self._forward(*tensors)
        return outputs, rest[: self._layers], rest[self._layers :]

    def pull(self, direction: np.ndarray, cut: Sequence[Any]) -> list[np.ndarray | None]:
        """The gradient (N, K, ...) at each layer for a direction (N, K, *O); None without a path to the outputs."""
        if not any(self._reached):
            return [None] * self._layers
        step = self._one if direction.shape[1] == 1 else self._many
        with tf.init_scope():
            gradients = iter(step(tf.constant(direction), *cut))
        return [next(gradients).numpy() if reached else None for reached in self._reached]


def _among(output: Any, calls: Sequence[Call]) -> tuple[int, ...] | None:
    """The calls whose outputs this one depends on; None where one of them lies in another graph."""
    if any(call.output.graph is not output.graph for call in calls):
        return None
    return origins([output], [call.output for call in calls])[0]


def _traced(
    traces: Traces, batch: Inputs, key: tuple[Any, ...], make: Callable[[Any], Any], static_key: tuple[Any, ...] = ()
) -> Any:
    """One trace for every batch size; one per batch size where the model reads it (`x.shape[0]`)."""
    failure: Exception | None = None
    if not traces.facts.get("static batch"):
        try:
            return traces.get((*key, batch.signature(False)), lambda: make(_specs(batch, static=False)))
        except Exception as exc:  # any that a model raises for an unknown batch size
            failure = exc
    try:
        trace = traces.get((*key, *static_key, batch.signature(True)), lambda: make(_specs(batch, static=True)))
    except Exception as exc:
        raise exc from failure
    traces.facts["static batch"] = True
    return trace


def _tap(taken: dict[str, Any], name: str) -> Tap:
    def tap(tensor: Any) -> Any:
        taken[name] = tensor
        return tensor

    return tap


def _gradients(y: Any, activations: Sequence[Any], direction: Any) -> dict[str, list[Any]]:
    """Which layers the gradient reaches, and pull-backs of one direction per image and, in one batch, of many."""
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
    return _concrete(lambda *tensors: function(*tensors), signature)


def _specs(batch: Inputs, static: bool) -> list[tf.TensorSpec]:
    _, shapes, types = batch.signature(static)
    return [tf.TensorSpec(shape, dtype) for shape, dtype in zip(shapes, types, strict=True)]


def _concrete(function: Callable[..., Any], signature: Sequence[tf.TensorSpec]) -> Any:
    return tf.function(function, input_signature=signature, autograph=False).get_concrete_function()


@contextlib.contextmanager
def _inlined(inline: bool) -> Iterator[None]:
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

"""TensorFlow: two compiled steps that share the intermediates of the forward pass.

One graph holds the forward pass and its gradients for any direction. It is cut between the two: the first step
returns outputs, activations and the tensors that the gradients read; the second takes these tensors and a direction.
So the direction is chosen in plain Python, and nothing is computed twice. One trace serves every batch size and any
number of targets.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from xaicore.errors import XaicoreError
from xaicore_keras.arrivals import arrivals_along_axes
from xaicore_keras.asked import Leaf, Tap
from xaicore_keras.calls import Call, Recorder
from xaicore_keras.devices import listed_devices
from xaicore_keras.engine import Engine, Forward, Run
from xaicore_keras.engines.graphs import arrivals_of, link_of, origins, pulled_to_input
from xaicore_keras.engines.tensorflow_cut import concrete, cut_out
from xaicore_keras.engines.tensorflow_steps import Steps, inlined
from xaicore_keras.inputs import Inputs
from xaicore_keras.private import graph_function
from xaicore_keras.reducer import Reducer
from xaicore_keras.run import Program
from xaicore_keras.seen import Flow, Seen
from xaicore_keras.state import preserved_model
from xaicore_keras.traces import Traces

__all__ = ["TensorFlowEngine"]


class TensorFlowEngine(Engine):
    """Runs models as graph functions, with gradients by `tf.gradients`."""

    powers = Engine.powers | {"guided", "reduce", "second"}

    def devices(self) -> tuple[str, ...]:
        """As Keras lists them."""
        return listed_devices()

    def device_of(self, tensor: Any) -> str | None:
        """Out of the path that names the job and the task, too."""
        found = tf.DeviceSpec.from_string(tensor.device)
        return None if found.device_type is None else f"{found.device_type.lower()}:{found.device_index}"

    def survey(self, run: Run, model: Any, batch: Inputs, inline: bool, recorder: Recorder) -> Seen:
        """A trace; what it computes is where the gradient arrives, and nothing that only has effects."""
        feeds: list[Any] = []
        outputs: list[Any] = []
        flows: list[Flow] = []
        arrivals: list[Any] = []

        def body(*placeholders: Any) -> list[Any]:
            feeds[:] = placeholders
            with inlined(inline):
                y = run(feeds, None)
            outputs[:] = [y]
            visible = [None if self.hides(y, call.output) else call.output for call in recorder.calls]
            is_known = inline or None not in visible
            inputs = [call.input for call in recorder.calls]
            taken = [None if one is None or self.hides(y, one) else one for one in inputs]
            known = zip(origins(visible, feeds), origins(taken, feeds), strict=True) if is_known else ()
            flows[:] = [Flow(reads, takes=takes) for reads, takes in known] or [Flow()] * len(visible)
            arrivals[:] = arrivals_of(y, visible) if is_known else [None] * len(visible)
            return [arrival for arrival in arrivals if arrival is not None]

        def pull(taken: Any, i: int, weights: np.ndarray) -> np.ndarray | None:
            with tf.init_scope(), contextlib.suppress(tf.errors.OpError):
                gradient = pulled_to_input(taken, feeds[i], weights)
                return None if gradient is None else cut_out(feeds, [gradient])(*arrays)[0].numpy()
            return None

        with tf.init_scope():
            arrays = [tf.convert_to_tensor(tensor) for tensor in batch.tensors]
            function = graph_function(body, _specs(batch, static=True))
            with contextlib.suppress(tf.errors.OpError):  # what cannot run here can still be listed
                values = iter(function(*arrays) if any(arrival is not None for arrival in arrivals) else ())
                flows[:] = [
                    flow
                    if arrival is None
                    else replace(flow, reached=arrivals_along_axes(next(values).numpy(), call.shape))
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
        with super().eager(model, batch, inline) as tensors, inlined(inline):
            yield tensors

    def forward(self, program: Program, traces: Traces, batch: Inputs, reducer: Reducer | None = None) -> Forward:
        """The first step; `pull` is the second."""
        key = ("forward", program.asked, program.output)
        inline = bool(traces.facts.get("inline"))
        with tf.init_scope():
            steps: Steps = _traced(traces, batch, key, lambda specs: Steps(program, specs, inline))
            outputs, values, cut = steps.forward(list(map(tf.convert_to_tensor, batch.tensors)))

        given = dict(zip(program.asked.read, values, strict=True))

        def pull(direction: np.ndarray, rule: str, scale: np.float32 | None = None) -> list[np.ndarray | None]:
            gradients = steps.pull(direction, cut, rule)
            if reducer is not None:
                ends, xp = program.asked.ends(rule), importlib.import_module("tensorflow.experimental.numpy")
                with tf.init_scope():
                    gradients = reducer.tables(xp, ends, [given[end] for end in ends], gradients, scale)
            return [None if gradient is None else gradient.numpy() for gradient in gradients]

        stay = [reducer is not None and reducer.keeps(leaf) for leaf in given]
        kept = [value if stays else value.numpy() for stays, value in zip(stay, values, strict=True)]
        return Forward(outputs.numpy(), kept, pull)

    def on_accelerator(self, weight: Any) -> bool:
        """By the name of its device."""
        return "GPU" in weight.device or "TPU" in weight.device

    def resume(self, program: Program, traces: Traces, batch: Inputs, activations: np.ndarray) -> list[np.ndarray]:
        """A graph with the activations as an input, less the operations that only led to them."""
        (leaf, *others), shape = program.asked.read, (None, *activations.shape[1:])
        inline = bool(traces.facts.get("inline"))
        repeats = len(activations) // batch.count

        def make(specs: list[tf.TensorSpec]) -> Any:
            is_static = specs[0].shape.rank > 0 and all(spec.shape[0] is not None for spec in specs if spec.shape.rank)

            def body(start: Any, times: Any, *tensors: Any) -> Any:
                times = repeats if is_static else times  # a model that reads its batch size needs a constant
                rows = [tf.repeat(t, times, axis=0) if t.shape.rank else t for t in tensors]
                taken: dict[Leaf, Any] = {}
                taps: dict[Leaf, Tap] = {other: functools.partial(taken.__setitem__, other) for other in others}
                with preserved_model(program.model()), inlined(inline):
                    y = program(rows, {leaf: lambda t: tf.cast(start, t.dtype), **taps})
                return [tf.cast(tensor, tf.float32) for tensor in (y, *(taken[other] for other in others))]

            start_spec = tf.TensorSpec(activations.shape if is_static else shape, tf.float32)
            return concrete(body, [start_spec, tf.TensorSpec([], tf.int32), *specs])

        with tf.init_scope():
            step = _traced(traces, batch, ("resume", program.asked, shape, program.output), make, static_key=(repeats,))
            tensors = map(tf.convert_to_tensor, batch.tensors)
            return [tensor.numpy() for tensor in step(tf.constant(activations), tf.constant(repeats), *tensors)]

    def pushed(self, function: Callable[[Any], Any], tensor: Any) -> tuple[Any, Any]:
        """By two pull-backs: the first, u -> f'(z)^T u, is linear in u, and the second pulls z back through it.

        That is how `tf.autodiff.ForwardAccumulator` does it, too, which records nothing in `tf.init_scope`.
        """

        def body(z: Any) -> list[Any]:
            output = function(z)
            start = tf.zeros_like(output)
            (pulled,) = tf.gradients(output, z, start, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            (linear,) = tf.gradients(pulled, start, z, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            return [output, linear]

        pushed = graph_function(body, [tf.TensorSpec(tensor.shape, tensor.dtype)])
        output, linear = pushed(tensor)
        return output, linear


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
        except XaicoreError:
            raise
        except Exception as exc:  # any that a model raises for an unknown batch size
            failure = exc
    try:
        trace = traces.get((*key, *static_key, batch.signature(True)), lambda: make(_specs(batch, static=True)))
    except Exception as exc:
        raise exc from failure
    traces.facts["static batch"] = True
    return trace


def _specs(batch: Inputs, static: bool) -> list[tf.TensorSpec]:
    _, shapes, types = batch.signature(static)
    return [tf.TensorSpec(shape, dtype) for shape, dtype in zip(shapes, types, strict=True)]

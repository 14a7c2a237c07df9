"""JAX: two compiled steps that share the intermediates of the forward pass.

The first returns outputs, activations and the arrays that the pull-back holds; the second assembles the pull-back
from them and applies it to a direction. So the direction is chosen in plain Python, and nothing is computed twice. The
model's variables are arguments of both. One trace serves one shape of the inputs.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from xaicore_keras.arrivals import are_many, arrivals_along_axes
from xaicore_keras.asked import Leaf, Tap
from xaicore_keras.calls import Call, Recorder
from xaicore_keras.devices import listed_devices
from xaicore_keras.engine import Engine, Forward, Run
from xaicore_keras.engines.jax_steps import Steps, compiled
from xaicore_keras.engines.jaxprs import link_of, origins, reaching
from xaicore_keras.inputs import Inputs
from xaicore_keras.private import tracer_scope
from xaicore_keras.reducer import Reducer
from xaicore_keras.run import Program
from xaicore_keras.seen import Flow, Pull, Seen, mixture
from xaicore_keras.traces import Traces

__all__ = ["JaxEngine"]


class JaxEngine(Engine):
    """Runs models as compiled functions of their weights, with gradients by `jax.vjp`."""

    powers = Engine.powers | {"guided", "reduce", "second"}

    def devices(self) -> tuple[str, ...]:
        """As Keras lists them."""
        return listed_devices()

    def device_of(self, tensor: Any) -> str | None:
        """By platform and number; a sharded array lies on several. Also of one that a training has given away."""
        found = tensor.sharding.device_set
        return None if len(found) > 1 else next(f"{device.platform}:{device.id}" for device in found)

    def survey(self, run: Run, model: Any, batch: Inputs, inline: bool, recorder: Recorder) -> Seen:
        """A trace, and a compiled pass that shows where the gradient arrives."""
        outputs: list[Any] = []
        numbers: list[int] = []
        weights, tensors = _weights(model), list(_beside(model, batch).tensors)

        def abstract(weights: Sequence[Any], tensors: Sequence[Any]) -> Any:
            y = run(tensors, weights)
            outputs[:] = [y]
            numbers[:] = [i for i, call in enumerate(recorder.calls) if not self.hides(y, call.output)]
            calls = [recorder.calls[i] for i in numbers]
            taken = [y if call.input is None or self.hides(y, call.input) else call.input for call in calls]
            return [y, *(call.output for call in calls), *taken]

        traced = jax.make_jaxpr(abstract)(weights, tensors)
        flows = [Flow() for _ in recorder.calls]
        calls = list(recorder.calls)
        ends = traced.jaxpr.outvars[1 : 1 + len(numbers)]
        made = dict(zip((id(calls[i].output) for i in numbers), ends, strict=True))

        def among(variable: Any, calls: Sequence[Call]) -> tuple[int, ...] | None:
            sources = [made.get(id(call.output)) for call in calls]
            return None if None in sources else origins(traced.jaxpr, sources, [variable])[0]

        reads = origins(traced.jaxpr, traced.jaxpr.invars[len(weights) :], traced.jaxpr.outvars[1:])
        for place, (i, end) in enumerate(zip(numbers, ends, strict=True)):
            behind = place + len(numbers)  # where what the call took stands
            pull = _pull_of(traced, 1 + behind, weights, tensors)
            flows[i] = Flow(reads[place], None, pull, functools.partial(among, end), reads[behind])
        shifted = reaching(traced.jaxpr, numbers)
        reached = _arrivals(run, recorder, shifted, weights, tensors) if shifted else {}
        recorder.calls[:] = calls  # of the trace, whose tensors nothing was added to
        for i in numbers:
            if reached is not None and jnp.issubdtype(calls[i].output.dtype, jnp.floating):
                arrivals = reached.get(i)
                found = {} if arrivals is None else arrivals_along_axes(arrivals, calls[i].shape)
                flows[i] = replace(flows[i], reached=found)
        return Seen(outputs[0], link_of(traced.jaxpr), flows)

    def hides(self, y: Any, tensor: Any) -> bool:
        """Loops, `jax.jit` and `jax.checkpoint` trace their bodies by themselves."""
        return tracer_scope(tensor) is not tracer_scope(y)

    def forward(self, program: Program, traces: Traces, batch: Inputs, reducer: Reducer | None = None) -> Forward:
        """The first step; `pull` is the second."""
        key = ("forward", program.asked, program.output)
        # Outputs need not have a row per image, so that rows of padding could not be told from others.
        batch = _beside(program.model(), batch)
        count, padded = batch.count, batch if program.asked.has_parts else _padded(batch, traces, key)
        weights = _weights(program.model())

        def steps_for(rows: Inputs) -> Steps:
            steps: Steps = traces.get((*key, rows.signature(True)), lambda: Steps(program, weights, list(rows.tensors)))
            return steps

        if padded is not batch and not _are_apart(batch, padded, steps_for(padded), weights, traces, key):
            padded = batch
        steps = steps_for(padded)
        outputs, values, held = steps.forward(weights, list(padded.tensors))
        given = dict(zip(program.asked.read, values, strict=True))

        def pull(direction: np.ndarray, rule: str, scale: np.float32 | None = None) -> list[np.ndarray | None]:
            gradients = steps.pull(weights, held, _pad(direction, padded.count), rule)
            if reducer is not None:
                ends = program.asked.ends(rule)
                with _double_precision():
                    gradients = reducer.tables(jnp, ends, [given[end] for end in ends], gradients, scale)
            return [None if g is None else _kept(g, count, padded.count) for g in gradients]

        def kept(leaf: Leaf, value: Any) -> Any:
            stays = reducer is not None and reducer.keeps(leaf)
            return _first_rows(value, count, padded.count) if stays else _kept(value, count, padded.count)

        y = np.array(outputs)
        rows = y[:count] if len(y.shape) and len(y) == padded.count else y  # others are refused, as they are
        return Forward(rows, [kept(leaf, value) for leaf, value in given.items()], pull)

    def on_accelerator(self, weight: Any) -> bool:
        """By the platform of its device."""
        return any(device.platform in ("gpu", "tpu") for device in weight.devices())

    def resume(self, program: Program, traces: Traces, batch: Inputs, activations: np.ndarray) -> list[np.ndarray]:
        """A compiled pass with the activations as an argument; what only led to them is not computed."""
        weights, tensors = _weights(program.model()), list(_beside(program.model(), batch).tensors)
        repeats, (leaf, *others) = len(activations) // batch.count, program.asked.read

        def run(start: Any, weights: Sequence[Any], tensors: Sequence[Any]) -> list[Any]:
            taken: dict[Leaf, Any] = {}
            rows = [jnp.repeat(t, repeats, axis=0) if jnp.ndim(t) else t for t in tensors]
            taps: dict[Leaf, Tap] = {other: functools.partial(taken.__setitem__, other) for other in others}
            y = program(rows, {leaf: lambda t: start.astype(t.dtype), **taps}, weights)
            return [tensor.astype(jnp.float32) for tensor in (y, *(taken[other] for other in others))]

        key = ("resume", program.asked, activations.shape, program.output, batch.signature(True))
        step = traces.get(key, lambda: compiled(program, run, activations, weights, tensors))
        return [np.array(tensor) for tensor in step(activations, weights, tensors)]

    @contextlib.contextmanager
    def eager(self, model: Any, batch: Inputs, inline: bool) -> Iterator[list[Any]]:
        """On the device of the weights."""
        with super().eager(model, _beside(model, batch), inline) as tensors:
            yield tensors

    def pushed(self, function: Callable[[Any], Any], tensor: Any) -> tuple[Any, Any]:
        """By `jax.jvp`."""
        output, linear = jax.jvp(function, (tensor,), (tensor,))
        return output, linear


def _beside(model: Any, batch: Inputs) -> Inputs:
    """The batch where the weights lie: JAX moves no array that its caller has put on a device."""
    placed = [tensor for tensor in batch.tensors if isinstance(tensor, jax.Array)]
    devices = {device for variable in model.weights for device in variable.value.devices()} if placed else set()
    if len(devices) != 1 or all(tensor.devices() == devices for tensor in placed):
        return batch
    (device,) = devices
    moved = (jax.device_put(tensor, device) if isinstance(tensor, jax.Array) else tensor for tensor in batch.tensors)
    return replace(batch, tensors=tuple(moved))


def _weights(model: Any) -> list[Any]:
    return [variable.value for variable in model.variables]


def _arrivals(
    run: Run, recorder: Recorder, shifted: Mapping[int, Any], weights: Sequence[Any], tensors: Sequence[Any]
) -> dict[int, np.ndarray] | None:
    """{call: the gradient of a mixture of the outputs}; of many, along all axes in one vector, where it is not zero."""

    def output(shifts: Mapping[int, Any], weights: Sequence[Any], tensors: Sequence[Any]) -> Any:
        recorder.change = lambda number, tensor: tensor + shifts[number] if number in shifts else tensor
        y = run(tensors, weights)
        return (y.astype(jnp.float32) * mixture(y.shape)).sum()

    is_reduced = are_many(aval.shape for aval in shifted.values())

    def arrivals(weights: Sequence[Any], tensors: Sequence[Any]) -> dict[int, Any]:
        shifts = {number: jnp.zeros(aval.shape, aval.dtype) for number, aval in shifted.items()}
        gradients = jax.grad(output)(shifts, weights, tensors)
        return {number: _along_axes(one) for number, one in gradients.items()} if is_reduced else gradients

    try:
        compiled = jax.jit(arrivals).lower(weights, tensors).compile(compiler_options=_run_once())
        return {number: np.asarray(one) for number, one in compiled(weights, tensors).items()}
    except Exception:  # an operation without a gradient: nothing is known of what lies before it
        return None
    finally:
        recorder.change = None


def _run_once() -> dict[str, str | bool] | None:
    """Compiler options of a pass that runs once: on a CPU, compiling takes far longer than what it would save."""
    if jax.default_backend() != "cpu":
        return None
    return {"xla_backend_optimization_level": "0", "xla_llvm_disable_expensive_passes": True}


def _pull_of(traced: Any, place: int, weights: Sequence[Any], tensors: Sequence[Any]) -> Pull:
    """The pull of `Flow` for this output of a traced function of weights and inputs."""

    @functools.cache
    def compiled(i: int) -> Any:
        def gradient(direction: Any, weights: Sequence[Any], tensors: Sequence[Any]) -> Any:
            def taken(tensor: Any) -> Any:
                arguments = (*weights, *tensors[:i], tensor, *tensors[i + 1 :])
                return jaxpr_as_fun(traced)(*arguments)[place].astype(jnp.float32)

            return jax.vjp(taken, tensors[i])[1](direction)[0].astype(jnp.float32)

        return jax.jit(gradient)

    def pull(i: int, direction: np.ndarray) -> np.ndarray | None:
        try:
            return np.asarray(compiled(i)(direction, weights, tensors))
        except Exception:  # integers, or an operation without a gradient
            return None

    return pull


def _along_axes(gradient: Any) -> Any:
    axes, is_there = range(gradient.ndim), gradient != 0
    each = [is_there.any(axis=tuple(other for other in axes if other != axis)) for axis in axes]
    return jnp.concatenate(each) if each else jnp.zeros(0, bool)


def _padded(batch: Inputs, traces: Traces, key: Hashable) -> Inputs:
    """The batch, filled up to a size that a trace exists for where that saves making one.

    So the last, smaller batch of many gets copies of its last row. A size that repeats is no remainder, and gets a
    trace of its own.
    """
    kind = ("batch sizes", key, batch.signature(False))
    traced, requests = traces.facts.setdefault(kind, (set(), Counter()))
    count = batch.count
    requests[count] += 1
    larger = [size for size in traced if size > count]
    if count in traced or not larger or requests[count] > 1:
        traced.add(count)
        return batch
    return batch.map(lambda tensor: _pad(np.asarray(tensor), min(larger), mode="edge"))


def _are_apart(batch: Inputs, padded: Inputs, steps: Steps, weights: Any, traces: Traces, key: Hashable) -> bool:
    """Whether no image changes what is made of the others: only then may rows be added to a batch.

    Seen once for a model, in a pass with rows of zeros in their place.
    """
    known = ("apart", key, batch.signature(False))
    if known not in traces.facts:
        zeros = batch.map(lambda tensor: _pad(np.asarray(tensor), padded.count))
        both = [steps.forward(weights, list(rows.tensors))[:2] for rows in (padded, zeros)]
        first, second = ([_kept(one, batch.count, padded.count) for one in (y, *values)] for y, values in both)
        traces.facts[known] = all(map(_agree, first, second))
    return bool(traces.facts[known])


def _agree(first: np.ndarray, second: np.ndarray) -> bool:
    scale = float(np.abs(first).max(initial=0)) if first.dtype.kind == "f" else 0.0
    return np.allclose(first, second, 1e-5, 1e-6 * scale, equal_nan=True)


def _kept(array: Any, count: int, padded: int) -> np.ndarray:
    """The rows of the first images, without those of padding; a layer may have several rows per image."""
    return _first_rows(np.array(array), count, padded)


def _first_rows(array: Any, count: int, padded: int) -> Any:
    if count == padded:
        return array
    return array[: len(array) * count // padded if array.ndim and len(array) % padded == 0 else count]


def _double_precision() -> contextlib.AbstractContextManager[Any]:
    """JAX has no float64 unless it is told so: methods that need it ask for it."""
    home: Any = jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")
    double: contextlib.AbstractContextManager[Any] = home.enable_x64(True)
    return double


def _pad(array: np.ndarray, rows: int, mode: Any = "constant") -> np.ndarray:
    return array if len(array) == rows else np.pad(array, [(0, rows - len(array))] + [(0, 0)] * (array.ndim - 1), mode)

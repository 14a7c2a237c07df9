"""JAX: two compiled steps that share the forward pass's intermediates.

The first returns the pull-back itself beside outputs and activations, as the arrays that it holds; the second puts
it together again and takes a direction. So the direction is chosen in plain Python, and nothing is computed twice.
The model's variables are arguments of both. One trace serves one shape of the inputs.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax.extend.core import Literal

from xaicore_keras.engines import Engine, Forward, Run
from xaicore_keras.inputs import Inputs
from xaicore_keras.paths import walk
from xaicore_keras.run import Program
from xaicore_keras.state import left_as_found
from xaicore_keras.traces import Traces

__all__ = ["JaxEngine"]

_WITHOUT_FUSIONS = {"xla_cpu_experimental_ynn_fusion_type": ""}
_PASSING = {"reshape", "squeeze", "convert_element_type", "broadcast_in_dim"}


class JaxEngine(Engine):
    """See the module."""

    def look(self, run: Run, model: Any, given: Inputs, inlined: bool) -> tuple[Any, str | None]:
        """A trace, which computes nothing."""
        seen: list[Any] = []

        def abstract(weights: Sequence[Any], tensors: Sequence[Any]) -> Any:
            seen[:] = [run(tensors, weights)]
            return seen[0]

        traced = jax.make_jaxpr(abstract)(_weights(model), list(given.tensors))
        return seen[0], _link(traced.jaxpr)

    def hides(self, y: Any, tensor: Any) -> bool:
        """Loops, `jax.jit` and `jax.checkpoint` trace by themselves."""
        return getattr(tensor, "_trace", None) is not getattr(y, "_trace", None)

    def forward(self, program: Program, traces: Traces, given: Inputs, layers: Sequence[str], pulls: bool) -> Forward:
        """The first step; `pull` is the second."""
        key = ("forward", tuple(layers), pulls, program.output)
        count, padded = given.count, _padded(given, traces, key)
        weights, tensors = _weights(program.model()), list(padded.tensors)
        steps: Steps = traces.get(
            (*key, padded.signature(True)), lambda: Steps(program, weights, tensors, layers, pulls)
        )
        outputs, activations, kept = steps.forward(weights, tensors)

        def pull(direction: np.ndarray) -> list[np.ndarray | None]:
            return [None if g is None else g[:count] for g in steps.pull(weights, kept, _pad(direction, padded.count))]

        return Forward(np.array(outputs)[:count], [np.array(a)[:count] for a in activations], pull)

    def resume(
        self, program: Program, traces: Traces, given: Inputs, layer: str, activations: np.ndarray
    ) -> np.ndarray:
        """A compiled run with the activations as an argument; what led to them is never computed."""
        weights, tensors = _weights(program.model()), list(given.tensors)
        repeats = len(activations) // given.count

        def run(start: Any, weights: Sequence[Any], tensors: Sequence[Any]) -> Any:
            rows = [jnp.repeat(t, repeats, axis=0) if jnp.ndim(t) else t for t in tensors]
            return program(rows, {layer: lambda t: start.astype(t.dtype)}, weights).astype(jnp.float32)

        key = ("resume", layer, activations.shape, program.output, given.signature(True))
        step = traces.get(key, lambda: _compiled(program, run, activations, weights, tensors))
        return np.array(step(activations, weights, tensors))


class Steps:
    """The two steps, compiled for one shape of the inputs; the second for each number of targets."""

    def __init__(
        self, program: Program, weights: Sequence[Any], tensors: Sequence[Any], layers: Sequence[str], pulls: bool
    ) -> None:
        self._pulls: dict[tuple[int, ...], Any] = {}

        def run(weights: Sequence[Any], tensors: Sequence[Any], shifts: Mapping[str, Any]) -> tuple[Any, list[Any]]:
            """Outputs, and the layers' outputs as they are before they are shifted."""
            kept: dict[str, Any] = {}
            taps = {name: _shift(kept, name, shifts.get(name)) for name in layers}
            outputs = program(tensors, taps, weights)
            return outputs.astype(jnp.float32), [kept[name] for name in layers]

        def forward(weights: Sequence[Any], tensors: Sequence[Any]) -> tuple[Any, list[Any], list[Any]]:
            if not pulls:
                outputs, activations = run(weights, tensors, {})
                return outputs, [a.astype(jnp.float32) for a in activations], []
            # Each layer's output is shifted by nothing, to differentiate by the shift.
            shifts = {name: jnp.zeros(form.shape, form.dtype) for name, form in self._reached.items()}
            outputs, pull, activations = jax.vjp(lambda shifts: run(weights, tensors, shifts), shifts, has_aux=True)
            # A compiled function copies what it returns, its own arguments too: so weights are not returned.
            leaves, self._tree = jax.tree.flatten(pull)
            own = {id(weight): i for i, weight in enumerate(weights)}
            self._origin = [own.get(id(leaf)) for leaf in leaves]
            kept = [leaf for leaf, origin in zip(leaves, self._origin, strict=True) if origin is None]
            return outputs, [a.astype(jnp.float32) for a in activations], kept

        self._layers = layers
        self._options = _options(program.model())
        self._reached: dict[str, Any] = {}
        if pulls:
            with left_as_found(program.model()):
                traced = jax.make_jaxpr(lambda *given: run(*given, {}))(weights, tensors)
            self._reached = _reaching(traced.jaxpr, layers)
        self.forward = _compiled(program, forward, weights, tensors)

    def pull(self, weights: Sequence[Any], kept: Sequence[Any], direction: np.ndarray) -> list[np.ndarray | None]:
        """A direction (N, K, *O) at the layers; None where one does not reach the outputs."""
        if not self._reached:
            return [None for _ in self._layers]
        if direction.shape not in self._pulls:
            self._pulls[direction.shape] = jax.jit(self._pull).lower(weights, kept, direction).compile(self._options)
        gradients = self._pulls[direction.shape](weights, kept, direction)
        return [np.array(gradients[name]) if name in gradients else None for name in self._layers]

    def _pull(self, weights: Sequence[Any], kept: Sequence[Any], direction: Any) -> dict[str, Any]:
        rest = iter(kept)
        leaves = [next(rest) if origin is None else weights[origin] for origin in self._origin]
        pull = jax.tree.unflatten(self._tree, leaves)
        if direction.shape[1] == 1:
            (gradients,) = pull(direction[:, 0])
            return {name: gradient[:, None].astype(jnp.float32) for name, gradient in gradients.items()}
        (gradients,) = jax.vmap(pull, in_axes=1, out_axes=1)(direction)
        return {name: gradient.astype(jnp.float32) for name, gradient in gradients.items()}


def _shift(kept: dict[str, Any], name: str, shift: Any) -> Callable[[Any], Any]:
    def tap(tensor: Any) -> Any:
        kept[name] = tensor
        return tensor if shift is None else tensor + shift

    return tap


def _compiled(program: Program, function: Callable[..., Any], *arguments: Any) -> Any:
    """Traced, with hooks on, and compiled now: a compiled function never traces again behind our back."""
    with left_as_found(program.model()):
        lowered = jax.jit(function).lower(*arguments)
    return lowered.compile(compiler_options=_options(program.model()))


def _options(model: Any) -> dict[str, str] | None:
    """For a model whose weights are mostly those of dense layers, as VGG's, XLA's newest fusions are switched off.

    On the CPU they make a chain of dense layers take twenty times as long, and convolutions half as long.
    """
    if jax.default_backend() != "cpu" or not _has_switch():
        return None
    layers = [part for part in walk(model).values() if isinstance(part, keras.layers.Dense) and part.built]
    dense = sum(prod(layer.kernel.shape) for layer in layers)
    return _WITHOUT_FUSIONS if dense > sum(prod(variable.shape) for variable in model.variables) / 2 else None


@functools.cache
def _has_switch() -> bool:
    try:
        jax.jit(lambda x: x).lower(0.0).compile(compiler_options=_WITHOUT_FUSIONS)
    except RuntimeError:  # an XLA that does not know it
        return False
    return True


def _weights(model: Any) -> list[Any]:
    return [variable.value for variable in model.variables]


def _reaching(jaxpr: Any, layers: Sequence[str]) -> dict[str, Any]:
    """{layer: the form of its output} of those that the first output depends on and that can be differentiated."""
    outputs, *activations = jaxpr.outvars
    needed = {outputs}
    for equation in reversed(jaxpr.eqns):
        if any(made in needed for made in equation.outvars):
            needed.update(read for read in equation.invars if not isinstance(read, Literal))
    return {
        name: variable.aval
        for name, variable in zip(layers, activations, strict=True)
        if not isinstance(variable, Literal)
        and variable in needed
        and jnp.issubdtype(variable.aval.dtype, jnp.floating)
    }


def _link(jaxpr: Any) -> str | None:
    """A softmax is none of JAX's operations; that its rows sum to one tells it."""
    makers = {made: equation for equation in jaxpr.eqns for made in equation.outvars}
    maker = makers.get(jaxpr.outvars[0]) if not isinstance(jaxpr.outvars[0], Literal) else None
    while maker is not None and maker.primitive.name in _PASSING:
        source = maker.invars[0]
        maker = None if isinstance(source, Literal) else makers.get(source)
    return "sigmoid" if maker is not None and maker.primitive.name == "logistic" else None


def _padded(given: Inputs, traces: Traces, key: Hashable) -> Inputs:
    """The inputs, at a batch size that a trace exists for where that saves making one.

    The last, smaller batch of many is filled up with copies of its last row. A size that comes again is no
    remainder, and gets a trace of its own.
    """
    kind = ("batch sizes", key, given.signature(False))
    traced, asked = traces.facts.setdefault(kind, (set(), Counter()))
    count = given.count
    asked[count] += 1
    larger = [size for size in traced if size > count]
    if count in traced or not larger or asked[count] > 1:
        traced.add(count)
        return given
    return given.map(lambda tensor: _pad(np.asarray(tensor), min(larger), mode="edge"))


def _pad(array: np.ndarray, rows: int, mode: Any = "constant") -> np.ndarray:
    return array if len(array) == rows else np.pad(array, [(0, rows - len(array))] + [(0, 0)] * (array.ndim - 1), mode)

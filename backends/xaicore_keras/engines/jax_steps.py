"""The two steps that JAX runs: a forward pass, and the pull-back from what it holds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from xaicore_keras.asked import Leaf, Tap
from xaicore_keras.engines.jax_rules import Rule, has_hidden_relus, replayed
from xaicore_keras.engines.jaxprs import reaching
from xaicore_keras.paths import walk
from xaicore_keras.rules import RELU_RULES, SECOND, hidden_relus, no_relus
from xaicore_keras.run import Program
from xaicore_keras.state import preserved_model

__all__ = ["Steps", "compiled"]

_Run = Callable[[Sequence[Any], Sequence[Any], Mapping[int, Any]], tuple[Any, list[Any]]]
"""`run(weights, tensors, shifts)` returns outputs and leaves; a shift is added to the end of its position."""

_WITHOUT_FUSIONS: dict[str, str | bool] = {"xla_cpu_experimental_ynn_fusion_type": ""}


class Steps:
    """The two steps, compiled for one shape of the inputs; the second for each number of targets and each rule."""

    def __init__(self, program: Program, weights: Sequence[Any], tensors: Sequence[Any]) -> None:
        self._model, self._asked = program.model, program.asked
        self._pulls: dict[tuple[str, tuple[int, ...]], Any] = {}
        self._rule = Rule()
        self._options = _options(program.model())
        self._reached: dict[int, Any] = {}
        asked = program.asked
        run: _Run = functools.partial(_run, program)
        if asked.pulls:
            with preserved_model(program.model()):
                traced = jax.make_jaxpr(run)(weights, tensors, {})
            reached = reaching(traced.jaxpr, asked.leaves)
            self._reached = {i: reached[leaf] for i, leaf in enumerate(asked.pulled) if leaf in reached}
        if asked.has_rules:
            run = self._ruled(run, weights, tensors)

        def forward(weights: Sequence[Any], tensors: Sequence[Any]) -> tuple[Any, list[Any], list[Any]]:
            held: list[Any] = []
            if not asked.pulls:
                outputs, leaves = run(weights, tensors, {})
            else:
                differentiate = _second if asked.ends(SECOND) else _first
                outputs, leaves, pull = differentiate(functools.partial(run, weights, tensors), self._shifts())
                # A compiled function copies everything that it returns, so weights are not returned.
                held, self._tree = jax.tree.flatten(pull)
                positions = {id(weight): i for i, weight in enumerate(weights)}
                self._weight_of = [positions.get(id(one)) for one in held]
                held = [one for one, weight in zip(held, self._weight_of, strict=True) if weight is None]
            return outputs, [leaf.astype(jnp.float32) for leaf in leaves[: len(asked.read)]], held

        self.forward = compiled(program, forward, weights, tensors)

    def _shifts(self) -> dict[int, Any]:
        """Zeros that are added to each end, to differentiate by them."""
        return {i: jnp.zeros(aval.shape, aval.dtype) for i, aval in self._reached.items()}

    def _ruled(self, run: _Run, weights: Sequence[Any], tensors: Sequence[Any]) -> _Run:
        """The same function, whose ReLUs follow the rule."""
        with preserved_model(self._model()):
            traced = jax.make_jaxpr(run)(weights, tensors, self._shifts())
        if has_hidden_relus(traced.jaxpr):
            raise hidden_relus(self._model(), "a loop or a branch")
        replay = replayed(traced, self._rule)

        def ruled(weights: Sequence[Any], tensors: Sequence[Any], shifts: Mapping[int, Any]) -> tuple[Any, list[Any]]:
            outputs, *leaves = replay(*jax.tree.leaves((weights, tensors, shifts)))
            return outputs, leaves

        return ruled

    def pull(self, weights: Sequence[Any], held: Sequence[Any], direction: np.ndarray, rule: str) -> list[Any]:
        """The gradient (N, K, ...) at each end for a direction (N, K, *O); None without a path to the outputs."""
        pulled = self._asked.pulled
        ends = [i for i in map(pulled.index, self._asked.ends(rule)) if i in self._reached]
        gradients: dict[int, Any] = {}
        if ends:
            key = (rule, direction.shape)
            if key not in self._pulls:
                step = functools.partial(self._pull, ends)
                self._rule.name, self._rule.count = rule, 0
                lowered = jax.jit(step).lower(weights, held, direction)
                if rule in RELU_RULES and not self._rule.count:
                    raise no_relus(self._model(), rule)
                self._pulls[key] = lowered.compile(self._options)
            gradients = self._pulls[key](weights, held, direction)
        places = map(pulled.index, self._asked.ends(rule))
        return [gradients.get(i) for i in places]

    def _pull(self, ends: Sequence[int], weights: Sequence[Any], held: Sequence[Any], direction: Any) -> dict[int, Any]:
        rest = iter(held)
        leaves = [next(rest) if weight is None else weights[weight] for weight in self._weight_of]
        pull = jax.tree.unflatten(self._tree, leaves)
        if direction.shape[1] == 1:
            (gradients,) = pull(direction[:, 0])
            gradients = {i: gradient[:, None] for i, gradient in gradients.items()}
        else:
            (gradients,) = jax.vmap(pull, in_axes=1, out_axes=1)(direction)
        return {i: gradients[i].astype(jnp.float32) for i in ends}


def _run(
    program: Program, weights: Sequence[Any], tensors: Sequence[Any], shifts: Mapping[int, Any]
) -> tuple[Any, list[Any]]:
    """Outputs, and the leaves before they are shifted: those that are pulled back to, by position."""
    taken: dict[Leaf, Any] = {}
    shift_of = {leaf: shifts.get(i) for i, leaf in enumerate(program.asked.pulled)}
    taps = {leaf: _tap(taken, leaf, shift_of.get(leaf)) for leaf in program.asked.leaves}
    outputs = program(tensors, taps, weights)
    return outputs.astype(jnp.float32), [taken[leaf] for leaf in program.asked.leaves]


def _first(run: Callable[..., Any], shifts: Mapping[int, Any]) -> tuple[Any, list[Any], Any]:
    """(outputs, leaves, the pull-back of gradients)."""
    outputs, pull, leaves = jax.vjp(run, shifts, has_aux=True)
    return outputs, leaves, pull


def _second(run: Callable[..., Any], shifts: Mapping[int, Any]) -> tuple[Any, list[Any], Any]:
    """(outputs, leaves, the pull-back of second derivatives).

    With J the Jacobian of the outputs and A the leaf, held constant, that is the pull-back of J A: its gradient
    for a direction d is the Hessian of the score d * outputs, times A.
    """
    outputs, leaves = run({})
    along = {i: leaves[i] for i in shifts}

    def moved(shifts: Mapping[int, Any]) -> Any:
        return jax.jvp(lambda shifts: run(shifts)[0], (shifts,), (along,))[1]

    return outputs, leaves, jax.vjp(moved, shifts)[1]


def _tap(taken: dict[Leaf, Any], leaf: Leaf, shift: Any) -> Tap:
    def tap(tensor: Any) -> Any:
        taken[leaf] = tensor
        return tensor if shift is None else tensor + shift

    return tap


def compiled(program: Program, function: Callable[..., Any], *arguments: Any) -> Any:
    """Trace the function, with hooks set, and compile it now: it is never traced again, when hooks are gone."""
    with preserved_model(program.model()):
        lowered = jax.jit(function).lower(*arguments)
    return lowered.compile(compiler_options=_options(program.model()))


def _options(model: Any) -> dict[str, str | bool] | None:
    """Compiler options: no fusions of XLA's YNN library where most weights belong to dense layers, as in VGG.

    On the CPU these fusions make a chain of dense layers take twenty times as long, and convolutions half as long.
    """
    if jax.default_backend() != "cpu" or not _can_switch_fusions():
        return None
    layers = [layer for layer in walk(model).values() if isinstance(layer, keras.layers.Dense) and layer.built]
    dense = sum(prod(layer.kernel.shape) for layer in layers)
    return _WITHOUT_FUSIONS if dense > sum(prod(variable.shape) for variable in model.variables) / 2 else None


@functools.cache
def _can_switch_fusions() -> bool:
    try:
        jax.jit(lambda x: x).lower(0.0).compile(compiler_options=_WITHOUT_FUSIONS)
    except RuntimeError:  # an XLA without this option
        return False
    return True

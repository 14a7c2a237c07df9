"""ReLUs in JAX's record of a function: the function again, with gradients by the rule that is applied."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from math import inf
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, DropVar, Literal, jaxpr_as_fun

__all__ = ["Rule", "has_hidden_relus", "replayed"]

_CALLS = ("jit", "pjit")
_NO_RELU = "hard_sigmoid"
"""A function of JAX that computes a ReLU6 and is none."""


class Rule:
    """The rule by which gradients pass ReLUs while they are traced.

    Attributes:
        name: of the rule.
        count: how many ReLUs gradients have passed.
    """

    def __init__(self) -> None:
        self.name = "plain"
        self.count = 0


def replayed(traced: Any, rule: Rule) -> Callable[..., list[Any]]:
    """The function that was traced, of the same flat arguments; gradients pass its ReLUs by the rule."""

    def run(*arguments: Any) -> list[Any]:
        return _replay(traced.jaxpr, traced.consts, arguments, rule)

    return run


def has_hidden_relus(jaxpr: Any, is_hidden: bool = False) -> bool:
    """Whether ReLUs lie in loops, branches or functions with derivatives of their own, which are not replayed."""
    for equation in jaxpr.eqns:
        if _cap_of(equation) is not None:
            if is_hidden:
                return True
        elif not _is_named(equation, _NO_RELU):
            opens = equation.primitive.name in _CALLS
            inner = (part for value in equation.params.values() for part in _jaxprs(value))
            if any(has_hidden_relus(part, is_hidden or not opens) for part in inner):
                return True
    return False


def _replay(jaxpr: Any, constants: Sequence[Any], arguments: Sequence[Any], rule: Rule) -> list[Any]:
    known: dict[Any, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*constants, *arguments), strict=True))

    def value(variable: Any) -> Any:
        return variable.val if isinstance(variable, Literal) else known[variable]

    for equation in jaxpr.eqns:
        taken = [value(variable) for variable in equation.invars]
        cap = _cap_of(equation)
        if cap is not None:
            made = [_unit(functools.partial(_called, jaxpr, equation), cap, rule)(*taken)]
        elif _is_clip(equation):
            made = [_clip(functools.partial(_called, jaxpr, equation), rule)(*taken)]
        elif equation.primitive.name in _CALLS and not _is_named(equation, _NO_RELU):
            inner = equation.params["jaxpr"]
            made = _replay(inner.jaxpr, inner.consts, taken, rule)
        else:
            known.update(zip(_read(equation), _bound(jaxpr, equation, *taken), strict=True))
            continue
        known.update(zip(equation.outvars, made, strict=True))
    return [value(variable) for variable in jaxpr.outvars]


def _bound(jaxpr: Any, equation: Any, *taken: Any) -> list[Any]:
    """What an equation of a jaxpr makes of these values, as it stands; results that nothing reads are left out."""
    values = {v: one for v, one in zip(equation.invars, taken, strict=True) if not isinstance(v, Literal)}
    alone = jaxpr.replace(constvars=(), invars=list(values), outvars=_read(equation), eqns=[equation])
    return jaxpr_as_fun(ClosedJaxpr(alone, ()))(*values.values())


def _read(equation: Any) -> list[Any]:
    return [variable for variable in equation.outvars if not isinstance(variable, DropVar)]


def _called(jaxpr: Any, equation: Any, *taken: Any) -> Any:
    return _bound(jaxpr, equation, *taken)[0]


def _unit(function: Callable[[Any], Any], cap: float, rule: Rule) -> Callable[[Any], Any]:
    """A ReLU whose cap may be infinite."""

    def forward(x: Any) -> tuple[Any, Any]:
        return function(x), x > 0 if cap == inf else (x > 0) & (x < cap)

    def backward(is_open: Any, gradient: Any) -> tuple[Any]:
        rule.count += 1
        zero = jnp.zeros_like(gradient)
        if rule.name != "plain":
            gradient = jnp.maximum(gradient, zero)
        return (gradient if rule.name == "deconv" else jnp.where(is_open, gradient, zero),)

    unit = jax.custom_vjp(function)
    unit.defvjp(forward, backward)
    return unit


def _clip(function: Callable[..., Any], rule: Rule) -> Callable[..., Any]:
    """JAX halves the gradient where a value is equal to a bound, as zeros behind a ReLU are: by a rule, it passes."""

    def forward(x: Any, low: Any, high: Any) -> tuple[Any, tuple[Any, ...]]:
        return function(x, low, high), ((x > low) & (x < high), (x == low) | (x == high), low, high)

    def backward(where: tuple[Any, ...], gradient: Any) -> tuple[Any, Any, Any]:
        is_inside, is_bound, low, high = where
        at_bound = gradient / 2 if rule.name == "plain" else gradient
        passed = jnp.where(is_inside, gradient, jnp.where(is_bound, at_bound, jnp.zeros_like(gradient)))
        return passed, jnp.zeros_like(low), jnp.zeros_like(high)

    unit = jax.custom_vjp(function)
    unit.defvjp(forward, backward)
    return unit


def _is_clip(equation: Any) -> bool:
    """A clip of one array between two numbers that nothing is differentiated by."""
    return _is_named(equation, "clip") and [variable.aval.ndim for variable in equation.invars[1:]] == [0, 0]


def _cap_of(equation: Any) -> float | None:
    """The cap of a ReLU that this equation calls, infinity without one; None where it calls anything else.

    A ReLU is a function that computes max(x, 0), or the minimum of that and a number, and nothing else.
    """
    if equation.primitive.name == "custom_jvp_call":
        body = equation.params["call_jaxpr"].jaxpr
        return _cap_of(body.eqns[0]) if len(body.eqns) == 1 else None
    if equation.primitive.name not in _CALLS or len(equation.invars) != 1:
        return None
    steps = [(step.primitive.name, _literal(step)) for step in equation.params["jaxpr"].jaxpr.eqns]
    if not steps or steps[0] != ("max", 0) or [name for name, _ in steps[1:]] not in ([], ["min"]):
        return None
    return inf if len(steps) == 1 else steps[1][1]


def _literal(equation: Any) -> float | None:
    numbers = [variable.val for variable in equation.invars if isinstance(variable, Literal)]
    return float(numbers[0]) if len(numbers) == 1 else None


def _is_named(equation: Any, name: str) -> bool:
    return equation.primitive.name in _CALLS and equation.params["name"] == name


def _jaxprs(value: Any) -> list[Any]:
    """The functions among the parameters of an equation."""
    values = value if isinstance(value, (tuple, list)) else [value]
    inner = [getattr(one, "jaxpr", one) for one in values]
    return [one for one in inner if hasattr(one, "eqns")]

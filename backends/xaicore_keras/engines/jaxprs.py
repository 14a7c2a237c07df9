"""What JAX's record of a traced function shows: what its outputs depend on, and how it ends."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, TypeVar

import jax.numpy as jnp
from jax.extend.core import Literal

__all__ = ["link_of", "origins", "reaching"]

# Operations that keep values, at most in another shape or type.
_PASSING = {"reshape", "squeeze", "convert_element_type", "broadcast_in_dim"}

Key = TypeVar("Key", bound=Hashable)


def reaching(jaxpr: Any, names: Sequence[Key]) -> dict[Key, Any]:
    """{name: shape and type} of the tensors that the first output depends on and can be differentiated by.

    The next outputs are these tensors, in this order.
    """
    y, *tensors = jaxpr.outvars
    needed = {y}
    for equation in reversed(jaxpr.eqns):
        if any(made in needed for made in equation.outvars):
            needed.update(read for read in equation.invars if not isinstance(read, Literal))
    return {
        name: variable.aval
        for name, variable in zip(names, tensors, strict=False)
        if not isinstance(variable, Literal)
        and variable in needed
        and jnp.issubdtype(variable.aval.dtype, jnp.floating)
    }


def origins(jaxpr: Any, sources: Sequence[Any], ends: Sequence[Any]) -> list[tuple[int, ...]]:
    """The positions of the sources that each of the ends depends on; all are variables of the function."""
    own = {var: frozenset([i]) for i, var in enumerate(sources) if not isinstance(var, Literal)}
    known = dict(own)
    for equation in jaxpr.eqns:
        before = (known.get(var, frozenset()) for var in equation.invars if not isinstance(var, Literal))
        origins = frozenset().union(*before)
        known.update((var, origins | own.get(var, frozenset())) for var in equation.outvars)
    return [() if isinstance(var, Literal) else tuple(sorted(known.get(var, ()))) for var in ends]


def link_of(jaxpr: Any) -> str | None:
    """The link that the last operation computes: a sigmoid, since JAX has no operation for a softmax."""
    makers = {made: equation for equation in jaxpr.eqns for made in equation.outvars}
    maker = makers.get(jaxpr.outvars[0]) if not isinstance(jaxpr.outvars[0], Literal) else None
    while maker is not None and maker.primitive.name in _PASSING:
        source = maker.invars[0]
        maker = None if isinstance(source, Literal) else makers.get(source)
    return "sigmoid" if maker is not None and maker.primitive.name == "logistic" else None

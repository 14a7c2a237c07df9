"""The options of a monitor, checked before it is made."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from xaicore.errors import InputError, MethodError
from xaicore.explainer import MethodLike
from xaicore.methods import Method, find_method

__all__ = ["as_methods", "check_options"]


def check_options(every: int, budget: float | None, batch_size: int, worst: int, pool: Any) -> None:
    """Refuse options of a monitor that are out of range.

    Raises:
        InputError: one is.
    """
    for option, value in (("every", every), ("batch_size", batch_size)):
        if not isinstance(value, Integral) or value < 1:
            raise InputError(f"{option}={value!r}: expected a whole number, 1 or more")
    if budget is not None and not (isinstance(budget, Real) and budget > 0):
        raise InputError(f"budget={budget!r}: expected seconds, or None for no limit")
    if worst < 0 or (worst > 0) != (pool is not None):
        given = "None" if pool is None else f"a {type(pool).__name__}"
        raise InputError(f"worst={worst} with pool={given}: give both, how many and where from, or neither")


def as_methods(method: MethodLike | Sequence[MethodLike]) -> list[Method]:
    """One or several methods, each once.

    Raises:
        MethodError: there is none, or one is unknown.
    """
    if isinstance(method, Sequence) and not method:
        raise MethodError("no method: expected a name, a function, or a list of them")
    several = list(method) if isinstance(method, Sequence) and not isinstance(method, str) else [method]
    return list(dict.fromkeys(find_method(one) for one in several))

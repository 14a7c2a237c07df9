"""The options of a monitor, checked before it is made."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

from xaicore.data.flags import check_flag
from xaicore.data.numbers import check_whole
from xaicore.errors import InputError, MethodError
from xaicore.methods import Method, MethodLike, find_methods

__all__ = ["as_methods", "check_options"]


def check_options(every: int, budget: float | None, batch_size: int, worst: int, pool: Any, beside: bool) -> None:
    """Refuse options of a monitor that are out of range.

    Raises:
        InputError: one is.
    """
    for option, value in (("every", every), ("batch_size", batch_size)):
        check_whole(value, option, 1)
    if budget is not None and not (isinstance(budget, Real) and not isinstance(budget, bool) and budget > 0):
        raise InputError(f"budget={budget!r}: expected seconds, or None for no limit")
    check_flag(beside, "beside")
    check_whole(worst, "worst", 0)
    if (worst > 0) != (pool is not None):
        given = "None" if pool is None else f"a {type(pool).__name__}"
        raise InputError(f"worst={worst} with pool={given}: give both, how many and where from, or neither")


def as_methods(method: MethodLike | Sequence[MethodLike]) -> list[Method]:
    """One or several methods, each once.

    Raises:
        MethodError: there is none, one is unknown, or two functions have the same name.
    """
    if isinstance(method, Sequence) and not method:
        raise MethodError("no method: expected a name, a function, or a list of them")
    several = list(method) if isinstance(method, Sequence) and not isinstance(method, str) else [method]
    return find_methods(several)

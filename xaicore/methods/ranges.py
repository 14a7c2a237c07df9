"""Options of methods that are numbers."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

from xaicore.errors import MethodError

__all__ = ["check_above", "check_count"]


def check_count(value: Any, option: str) -> int:
    """The value of an option that counts something.

    Raises:
        MethodError: it is no whole number, or less than 1.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise MethodError(f"{option}={value!r}: expected a whole number, 1 or more")
    return int(value)


def check_above(value: Any, option: str, limit: float = float("inf")) -> float:
    """The value of an option that is a number above 0, and below the limit.

    Raises:
        MethodError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < limit:
        expected = "a number above 0" if limit == float("inf") else f"a number between 0 and {limit:g}"
        raise MethodError(f"{option}={value!r}: expected {expected}")
    return float(value)

"""Arguments that are whole numbers."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from xaicore.errors import InputError

__all__ = ["check_whole"]


def check_whole(value: Any, name: str, least: int) -> int:
    """The value of the argument `name`.

    Raises:
        InputError: it is no whole number (nor is True, which Python counts as 1), or less than `least`.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise InputError(f"{name}={value!r}: expected a whole number, {least} or more")
    return int(value)

"""Arguments that are yes or no."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore.errors import InputError

__all__ = ["check_flag"]


def check_flag(value: Any, name: str, note: str = "") -> bool:
    """The value of the argument `name`. "no" and "false" are true in Python, and 0 may have been meant as a number.

    Args:
        value: what the caller passed.
        name: of the argument.
        note: what the message says beside.

    Raises:
        InputError: it is no bool.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise InputError(f"{name}={value!r}: expected True or False{note}")
    return bool(value)

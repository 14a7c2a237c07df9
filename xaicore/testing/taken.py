"""What the kit's nets themselves take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from xaicore.errors import InputError
from xaicore.testing.nets.net import Net

__all__ = ["arrays_for"]


def arrays_for(net: Net, inputs: Any) -> tuple[np.ndarray, ...]:
    """A batch, or several by position or name, as a tuple of arrays. Names are in the order of the alphabet.

    Raises:
        InputError: the net takes others.
    """
    inputs = tuple(inputs[name] for name in sorted(inputs)) if isinstance(inputs, Mapping) else inputs
    given = tuple(map(np.asarray, inputs if isinstance(inputs, tuple) else (inputs,)))
    wanted = net.pictures(1)
    if [one.shape[1:2] for one in given] != [one.shape[1:2] for one in wanted]:
        expected = ", ".join(f"(N, {', '.join(map(str, one.shape[1:]))})" for one in wanted)
        raise InputError(f"inputs {', '.join(str(one.shape) for one in given)}: the net takes {expected}")
    if any(one.dtype.kind not in "fiu" for one in given):
        raise InputError(f"inputs of the type {given[0].dtype}: expected numbers")
    if not all(map(len, given)):
        raise InputError(f"inputs {', '.join(str(one.shape) for one in given)}: expected one image or more")
    return given

"""Offsets of layers: what f(z) has beyond f'(z) z, where the tangent of a layer f at z meets the axis."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["offset"]

ROUNDING = 1e-5
"""The share of an output's largest value that may be rounding, in float32."""


def offset(
    output: np.ndarray, linear: np.ndarray, at_zero: Callable[[], np.ndarray], epsilon: float
) -> np.ndarray | None:
    """f(z) - f'(z) z as `Backend.biases` returns it; None where it is no more than rounding.

    Args:
        output: f(z).
        linear: f'(z) z.
        at_zero: returns f(0), which is exact, and so taken where it is the same.
        epsilon: of the type that f computes in.
    """
    beyond = output - linear
    rounding = max(ROUNDING, 2 * epsilon) * max(np.abs(one).max(initial=0) for one in (output, linear))
    if not np.abs(beyond).max(initial=0) > rounding:
        return None
    exact = at_zero()
    return exact if np.allclose(exact, beyond, rtol=0, atol=10 * rounding) else beyond

"""Integrated gradients: the score, divided among the pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore.errors import MethodError
from xaicore.evidence import Evidence

__all__ = ["integrated_gradients"]


def integrated_gradients(evidence: Evidence, *, steps: int = 50, baseline: Any = 0.0) -> np.ndarray:
    """Integrated gradients (Sundararajan et al. 2017): sum_c (x_c - b_c) M_c, signed. `steps` passes more.

    M is the mean over i = 1 ... steps of the gradient at b + (i - 1/2) / steps (x - b), b the baseline. The paper's sum
    has the right ends of the steps, i / steps; the middles are closer to its integral at the same cost. The sum over
    all pixels tends to f(x) - f(b), f the score (completeness), and so the channels of a pixel are added.

    Args:
        steps: points of the path.
        baseline: a picture without evidence, as the model takes it: a number, or an array that can be broadcast to
            (C, *size). Zero is black where x holds pixels, and the mean colour where they are standardised.
    """
    if steps < 1:
        raise MethodError(f"integrated-gradients with steps={steps!r}: expected 1 or more")
    x = evidence.pictures
    start = _baseline(baseline, x.shape[1:])
    fractions = (np.arange(steps, dtype=np.float32) + np.float32(0.5)) / np.float32(steps)

    def along(pictures: np.ndarray, rows: slice) -> np.ndarray:
        at = fractions[rows].reshape(-1, *[1] * pictures.ndim)
        return start + at * (pictures - start)

    return np.einsum("nkc...,nc...->nk...", evidence.mean_gradients(steps, along), x - start)


def _baseline(baseline: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The baseline as float32 (C, *size).

    Raises:
        MethodError: it has other axes than a picture.
    """
    try:
        return np.broadcast_to(np.asarray(baseline, np.float32), shape)
    except ValueError as exc:
        raise MethodError(
            f"baseline of shape {np.shape(baseline)} for pictures {shape}: expected a number, or a picture (C, *size)"
        ) from exc

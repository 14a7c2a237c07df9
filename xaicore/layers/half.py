"""Gradients in float16, which loses small ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

__all__ = ["half_scale", "pull_in_half"]

HALF_SCALE = 1024.0
"""float16 loses gradients below 6e-8, so this multiple of them is computed; where it overflows, the plain ones."""


def half_scale(direction: np.ndarray) -> np.float32:
    """What a direction (N, K, *O) is multiplied by, and its gradients divided by, where these are float16."""
    return np.float32(HALF_SCALE / max(1.0, float(np.abs(direction).max(initial=0))))


def pull_in_half(
    pull: Callable[[np.ndarray], Sequence[np.ndarray | None]], direction: np.ndarray
) -> list[np.ndarray | None]:
    """Gradients of a direction in float16, without the loss of small ones; for backends.

    Args:
        pull: pulls a direction back, to one gradient per layer, None where a layer does not reach the outputs. It may
            be called twice.
        direction: (N, K, *O) float32.
    """
    scale = half_scale(direction)
    scaled = pull(direction * scale)
    if all(gradient is None or np.isfinite(gradient).all() for gradient in scaled):
        return [None if gradient is None else gradient / scale for gradient in scaled]
    return list(pull(direction))

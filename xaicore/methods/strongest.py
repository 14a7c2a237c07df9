"""Which channels of a layer a method tries, where each of them costs a pass."""

from __future__ import annotations

import numpy as np

from xaicore.methods.ranges import check_count

__all__ = ["scattered", "strongest"]


def strongest(strength: np.ndarray, channels: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The strongest channels of each image, those of strength 0 left out.

    Args:
        strength: (N, C), >= 0.
        channels: how many at most; None for all.

    Returns:
        The channels (N, R), the strongest first, and whether their strength is above 0, (N, R): an image may have fewer
        such channels than R.

    Raises:
        MethodError: `channels` is no whole number above 0.
    """
    most = strength.shape[1] if channels is None else check_count(channels, "channels")
    order = np.argsort(-strength, axis=1, kind="stable")
    order = order[:, : min(most, int((strength > 0).sum(axis=1).max()))]
    return order, np.take_along_axis(strength, order, axis=1) > 0


def scattered(weights: np.ndarray, order: np.ndarray, channels: int) -> np.ndarray:
    """Weights (N, R, K) of the channels in `order`, (N, R), as weights (N, K, C) of all, zero for the others."""
    n, _, k = weights.shape
    every = np.zeros((n, channels, k))
    np.put_along_axis(every, order[..., None], weights, axis=1)
    return every.swapaxes(1, 2)

"""Noise on pictures: the same in every call, so that a map depends neither on its batch nor on the caller's state."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np

__all__ = ["is_noise", "noisy"]


def noisy(pictures: np.ndarray, copy: int, sigma: float) -> np.ndarray:
    """One of the noisy copies of pictures (N, C, *size), float32: normal noise is added.

    Args:
        pictures: every one of them gets the same noise, scaled to its own range of values.
        copy: which of the copies, counted from 0; each has noise of its own.
        sigma: the standard deviation, as a fraction of the range from a picture's smallest value to its largest
            (Smilkov et al. 2017).
    """
    noise = np.random.default_rng((0, copy)).standard_normal(pictures.shape[1:], dtype=np.float32)
    axes = tuple(range(1, pictures.ndim))
    low, high = pictures.min(axis=axes, keepdims=True), pictures.max(axis=axes, keepdims=True)
    changed: np.ndarray = (pictures + np.float32(sigma) * (high - low) * noise).astype(np.float32)
    return changed


def is_noise(n: object, sigma: object) -> bool:
    """Whether these are a number of copies, 1 or more, and a standard deviation, 0 or more."""
    if isinstance(n, bool) or isinstance(sigma, bool) or not isinstance(n, Integral) or not isinstance(sigma, Real):
        return False
    return int(n) >= 1 and 0 <= float(sigma) < float("inf")

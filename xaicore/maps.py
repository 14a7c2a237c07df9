"""Arithmetic on feature maps: weighted sums, normalising, resizing, fusing. Any number of spatial axes.

N images, K targets per image, C channels, *S spatial axes, M = N * K maps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xaicore.errors import InputError
from xaicore.opencv import cv2

__all__ = ["FUSIONS", "fuse", "normalize", "relu", "resize", "tops", "weighted_sum", "zoom"]

NORMALIZATIONS = ("max", "robust", "minmax", "none")

BRIGHTEST = 99
"""The percentile of the magnitudes that "robust" divides by."""


def _strongest(maps: np.ndarray, axis: int) -> np.ndarray:
    """The values with the largest magnitude along an axis; of equal ones, the first."""
    chosen = np.expand_dims(np.abs(maps).argmax(axis=axis), axis)
    found: np.ndarray = np.take_along_axis(maps, chosen, axis).squeeze(axis)
    return found


FUSIONS: dict[str, Callable[..., np.ndarray]] = {"mean": np.mean, "max": _strongest, "product": np.prod}
"""{how the maps of several layers become one: the function}."""


def weighted_sum(weights: Any, activations: Any, xp: Any = np) -> Any:
    """Sum over channels: weights (N, K, C) and activations (N, C, *S) give (N, K, *S), arrays of the module `xp`."""
    n, channels, *spatial = activations.shape
    flat = xp.asarray(xp.reshape(activations, (n, channels, -1)), dtype=weights.dtype)
    return xp.reshape(xp.matmul(weights, flat), (n, weights.shape[1], *spatial))


def relu(maps: np.ndarray) -> np.ndarray:
    """Positive evidence alone: negative values become zero."""
    return np.maximum(maps, 0)


def normalize(maps: np.ndarray, how: str = "max", ceilings: np.ndarray | None = None) -> np.ndarray:
    """Scale each of the maps (M, *S) on its own, to [0, 1], or to [-1, 1] where they are signed; zero stays zero.

    Args:
        maps: (M, *S), finite.
        how: "max" divides by the largest magnitude, so that it becomes exactly 1, or -1; "robust" by the magnitudes'
            99th percentile, beyond which values become 1 or -1; "minmax" subtracts the minimum first (a constant map
            becomes zeros); "none" leaves the method's own scale.
        ceilings: (M,) divisors for "max" and "robust" in the place of each map's own; values beyond a ceiling become 1
            or -1, and a ceiling of 0 gives zeros.

    Raises:
        InputError: `how` is none of these, or there is another number of ceilings than of maps.
    """
    if how not in NORMALIZATIONS:
        raise InputError(f"normalize={how!r} is not known; expected one of {', '.join(NORMALIZATIONS)}")
    if how == "none" or not maps.size:
        return maps
    if ceilings is not None and np.shape(ceilings) != (len(maps),):
        raise InputError(f"ceilings of shape {np.shape(ceilings)} for {len(maps)} maps: expected one per map")
    if how == "minmax":
        maps = maps - maps.min(axis=tuple(range(1, maps.ndim)), keepdims=True)
        ceilings = None
    divisors = tops(maps, how) if ceilings is None else np.asarray(ceilings, maps.dtype)
    divisors = divisors.reshape(-1, *[1] * (maps.ndim - 1))
    divided = np.divide(maps, divisors, out=np.zeros_like(maps), where=divisors > 0)
    return np.clip(divided, -1, 1, out=divided)


def tops(maps: np.ndarray, how: str = "max") -> np.ndarray:
    """The value (M,) of each map (M, *S) that becomes 1: its largest magnitude; for "robust", their 99th percentile.

    Where fewer than 1 % of a map's values differ from zero, "robust" takes the largest magnitude, too.
    """
    flat = maps.reshape(len(maps), -1)
    largest: np.ndarray = np.maximum(flat.max(axis=1), -flat.min(axis=1))
    if how != "robust":
        return largest
    high = np.percentile(np.abs(flat), BRIGHTEST, axis=1).astype(maps.dtype)
    return np.where(high > 0, high, largest)


def resize(maps: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Resample maps (M, *S) linearly to (M, *size), half-pixel centres, edges repeated.

    Pixel i of n covers [i, i + 1) / n of the picture in both sizes, so that a map lies over the picture where
    its receptive fields are. `size` is in the order of the axes: (height, width) for pictures.

    Raises:
        InputError: `size` has another number of axes than the maps, or is not positive.
    """
    size = tuple(int(n) for n in size)
    if len(size) != maps.ndim - 1 or min(size, default=0) < 1:
        raise InputError(f"size={size} for maps of shape {maps.shape}: expected {maps.ndim - 1} positive numbers")
    if maps.shape[1:] == size:
        return maps
    if len(size) == 2 and maps.dtype == np.float32:
        out = np.empty((len(maps), *size), np.float32)
        for resized, source in zip(out, maps, strict=True):
            cv2.resize(source, size[::-1], dst=resized, interpolation=cv2.INTER_LINEAR)  # width first
        return out
    for axis, n in enumerate(size, start=1):
        maps = _sampled(maps, axis, (np.arange(n) + 0.5) * (maps.shape[axis] / n) - 0.5)
    return maps


def zoom(maps: np.ndarray, scale: float) -> np.ndarray:
    """Magnify maps (M, *S) linearly about their centre, without a change of their size; edges are repeated."""
    for axis, n in enumerate(maps.shape[1:], start=1):
        maps = _sampled(maps, axis, (np.arange(n) + 0.5 - n / 2) / scale + n / 2 - 0.5)
    return maps


def _sampled(maps: np.ndarray, axis: int, at: np.ndarray) -> np.ndarray:
    """Maps at these positions along one axis, between neighbours linearly."""
    last = maps.shape[axis] - 1
    at = np.clip(at, 0, last)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, last)
    fraction = (at - low).astype(maps.dtype).reshape(-1, *[1] * (maps.ndim - 1 - axis))
    return maps.take(low, axis) * (1 - fraction) + maps.take(high, axis) * fraction


def fuse(maps: Sequence[np.ndarray], how: str = "mean") -> np.ndarray:
    """One map from several layers' (M, *S_i): each max-normalised, resized to the finest, joined. Signs stay.

    Normalising first keeps a layer with large activations from drowning the others.

    Args:
        maps: of each layer.
        how: "mean"; "max", what any layer shows, by magnitude where maps are signed; "product", what all of them show.

    Raises:
        InputError: `how` is none of these, or a product of maps with negative values.
    """
    if how not in FUSIONS:
        raise InputError(f"fuse={how!r} is not known; expected one of {', '.join(FUSIONS)}")
    if len(maps) == 1:
        return maps[0]
    finest = max((m.shape[1:] for m in maps), key=lambda shape: int(np.prod(shape)))
    if how == "product" and any((m < 0).any() for m in maps):
        raise InputError("a product would make positive evidence of two negative values: pass fuse='mean'")
    fused: np.ndarray = FUSIONS[how](np.stack([resize(normalize(m), finest) for m in maps]), axis=0)
    return fused

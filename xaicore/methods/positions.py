"""The method that keeps positions of a layer, one after the other."""

from __future__ import annotations

from functools import reduce

import numpy as np

from xaicore.evidence import Evidence

__all__ = ["reciprocam"]


def reciprocam(evidence: Evidence, *, gaussian: bool = False) -> np.ndarray:
    """Recipro-CAM (Byun & Lee 2022): at each position p the score of A M_p, scaled to [0, 1] over positions.

    A (N, C, *S) are the layer's activations, M_p is 1 at p and 0 elsewhere; maps (N, K, *S). The score of a class is
    its probability, as in the authors' code. With gaussian=True, M_p is the kernel (1/4, 1/2, 1/4) along each axis,
    centred at p; the authors' code spreads the vector at p over its neighbours instead of masking theirs. One pass from
    the layer on for each position. Prefix tokens, such as a class token, stay as they are.
    """
    a = evidence.unmasked
    size = a.shape[2:]
    places = np.indices(size).reshape(len(size), -1).T

    def change(n: int, rows: slice) -> np.ndarray:
        masks = np.stack([_mask(place, size, gaussian) for place in places[rows]])
        return a[n] * masks[:, None]

    scores = evidence.resumed(len(places), change, as_confidence=True)
    low, high = scores.min(axis=1, keepdims=True), scores.max(axis=1, keepdims=True)
    scaled = (scores - low) / np.where(high > low, high - low, 1)
    return scaled.swapaxes(1, 2).reshape(len(a), -1, *size)


def _mask(place: np.ndarray, size: tuple[int, ...], gaussian: bool) -> np.ndarray:
    """M_p, (*S,) float32."""
    along = []
    for at, length in zip(place, size, strict=True):
        distance = np.abs(np.arange(length) - at)
        kernel = np.maximum(0.5 - distance / 4, 0) if gaussian else distance == 0
        along.append(kernel.astype(np.float32))
    return reduce(np.multiply.outer, along)

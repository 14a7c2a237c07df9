"""Arrays of a pass as maps of pictures, whatever the framework's layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from xaicore.capture import Capture
from xaicore.layers import Place, find_outliers

__all__ = ["arranged", "group_views"]


def arranged(capture: Capture, place: Place | None) -> Capture:
    """The capture with arrays (N * views, C, *S), whatever the framework's layout, and outputs repeated per view.

    Where outlier tokens are left out, arrays are zero at them.
    """
    if place is None:
        return capture
    outliers = {
        layer: find_outliers(place.grids[layer].arrange(capture.activations[stream]))
        for layer, stream in place.streams.items()
    }
    return replace(
        capture,
        outputs=np.repeat(capture.outputs, place.views, axis=0),
        activations=_masked(place.arrange(capture.activations), outliers),
        gradients=_masked(place.arrange(capture.gradients, targets=True), outliers),
        input_size=place.frame.size,
    )


def _masked(arrays: Mapping[str, np.ndarray], outliers: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays (N, ..., *size) of layers, with zeros at their outliers (N, *size)."""
    result = dict(arrays)
    for layer in outliers.keys() & arrays.keys():
        found, array = outliers[layer], arrays[layer]
        axes = tuple(range(1, 1 + array.ndim - found.ndim))  # channels, and targets
        result[layer] = np.where(np.expand_dims(found, axes), np.zeros((), array.dtype), array)
    return result


def group_views(maps: np.ndarray, count: int, views: int) -> np.ndarray:
    """Maps (N * views * K, *S) as (N * K, views, *S); with one view as they are."""
    if views == 1:
        return maps
    per_view = maps.reshape(count, views, -1, *maps.shape[1:]).swapaxes(1, 2)
    return np.ascontiguousarray(per_view).reshape(-1, views, *maps.shape[1:])

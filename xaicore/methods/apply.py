"""From evidence to maps, checked."""

from __future__ import annotations

import numpy as np

from xaicore.errors import MethodError
from xaicore.evidence import Evidence, check_finite
from xaicore.maps import relu
from xaicore.methods.method import Method

__all__ = ["apply"]


def apply(method: Method, evidence: Evidence) -> np.ndarray:
    """The maps of one method: (M, *S) float32, finite; >= 0 unless the method is signed.

    Raises:
        LayerError: the layer gives no map.
        BackendError: activations, gradients or maps are not finite.
        MethodError: the maps have another shape, or the evidence is not to be had.
    """
    activations: np.ndarray | None = None
    if method.takes_arrays:
        activations = evidence.activations
        second = None if method.needs == "activations" else getattr(evidence, str(method.needs))
        maps = np.asarray(method.function(activations, second))
    else:
        maps = np.asarray(method.function(evidence))
    count, k = evidence.aim.classes.shape
    spatial = maps.shape[2:] if activations is None else activations.shape[2:]
    expected = (count, k, *spatial)
    if maps.shape not in (expected, (count, 1, *spatial)) or len(spatial) != len(evidence.size):
        axes = ", ".join(map(str, spatial)) if activations is not None else f"*{len(evidence.size)} positions"
        raise MethodError(f"method {method.name!r} gave maps of shape {maps.shape}; expected ({count}, {k}, {axes})")
    maps = np.broadcast_to(maps if method.signed else relu(maps), expected).reshape(count * k, *spatial)
    maps = np.ascontiguousarray(maps, np.float32)
    check_finite(maps, f"the maps of method {method.name!r}")
    return maps

"""From evidence to maps, checked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xaicore.errors import MethodError
from xaicore.evidence import Evidence, check_finite
from xaicore.maps import relu
from xaicore.methods.method import Method

__all__ = ["apply", "check_shape", "finished"]


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
    targets = evidence.aim.classes.shape
    if activations is not None:
        check_shape(method, maps.shape, targets, activations.shape[2:])
    elif len(maps.shape) != 2 + len(evidence.size) or maps.shape[:2] not in (targets, (targets[0], 1)):
        raise _misshapen(method, maps.shape, targets, f"*{len(evidence.size)} positions")
    return finished(method, maps, targets)


def check_shape(method: Method, shape: tuple[int, ...], targets: tuple[int, ...], spatial: tuple[int, ...]) -> None:
    """Refuse maps of another shape than (N, K, *S), or (N, 1, *S) where they are the same for every target.

    Args:
        method: what gave them.
        shape: of the maps.
        targets: (N, K).
        spatial: of the activations.

    Raises:
        MethodError: they have it.
    """
    if shape not in ((*targets, *spatial), (targets[0], 1, *spatial)):
        raise _misshapen(method, shape, targets, ", ".join(map(str, spatial)))


def finished(method: Method, maps: np.ndarray, targets: tuple[int, ...]) -> np.ndarray:
    """Maps (N, K or 1, *S) as (M, *S) float32; without negative values, unless the method is signed.

    Raises:
        BackendError: they are not finite.
    """
    spatial = maps.shape[2:]
    maps = np.broadcast_to(maps if method.signed else relu(maps), (*targets, *spatial))
    maps = np.ascontiguousarray(maps.reshape(-1, *spatial), np.float32)
    check_finite(maps, f"the maps of method {method.name!r}")
    return maps


def _misshapen(method: Method, shape: Sequence[int], targets: Sequence[int], axes: str) -> MethodError:
    count, k = targets
    return MethodError(f"method {method.name!r} gave maps of shape {shape}; expected ({count}, {k}, {axes})")

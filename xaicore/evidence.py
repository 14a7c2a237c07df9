"""What a method computes its maps from: activations, and gradients or a classifier's rows. All are checked.

N images, K targets per image, M = N * K rows; *S are the positions of a layer's map.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore.backend import Backend, Capture
from xaicore.errors import BackendError, MethodError
from xaicore.layers import no_map
from xaicore.maps import relu
from xaicore.methods import Method
from xaicore.targets import Aim, Classes

__all__ = ["maps_at"]


def maps_at(layer: str, method: Method, backend: Backend, x: Any, capture: Capture, aim: Aim) -> np.ndarray:
    """The maps of one method at one layer: (M, *S) float32, finite, >= 0.

    Raises:
        LayerError: the layer gives no map.
        BackendError: activations, gradients or maps are not finite.
        MethodError: the maps have another shape, or CAM finds no classifier.
    """
    activations = capture.activations[layer]
    spatial = activations.shape[2:]
    if len(spatial) != len(capture.input_size) or int(np.prod(spatial)) < 2:
        raise no_map(layer, activations.shape, capture.input_size)
    _check_finite(activations, f"the activations of layer {layer!r}")
    second: np.ndarray | None = None
    if method.needs == "gradients":
        second = capture.gradients[layer]
        _check_finite(second, f"the gradients at layer {layer!r}")
    elif method.needs == "weights":
        second = _classifier_rows(layer, backend, x, capture, aim)
    count, k = aim.classes.shape
    maps = np.asarray(method.function(activations, second))
    expected = (count, k, *spatial)
    if maps.shape not in (expected, (count, 1, *spatial)):
        raise MethodError(f"method {method.name!r} gave maps of shape {maps.shape}; expected {expected}")
    maps = np.broadcast_to(relu(maps), expected).reshape(count * k, *spatial)
    maps = np.ascontiguousarray(maps, np.float32)
    _check_finite(maps, f"the maps of method {method.name!r}")
    return maps


def _classifier_rows(layer: str, backend: Backend, x: Any, capture: Capture, aim: Aim) -> np.ndarray:
    """The classifier's row for each target, (N, K, C): the direction, multiplied by the dense layer's weight."""
    if capture.outputs_kind == "probabilities":  # the rows belong to the logits behind them
        aim = Classes(aim.classes).aim(capture.outputs, "logits")
    weights = backend.classifier_weights(x, layer)
    direction = aim.direction.reshape(*aim.classes.shape, -1)
    rows: np.ndarray = direction @ weights
    return rows


def _check_finite(array: np.ndarray, name: str) -> None:
    """Refuse NaN and infinity. A sum is finite for all but broken arrays, and much cheaper than to test each value."""
    with np.errstate(over="ignore", invalid="ignore"):
        is_suspicious = not np.isfinite(array.sum())
    if is_suspicious:
        bad = int(array.size - np.isfinite(array).sum())
        if bad:
            raise BackendError(
                f"{name} have {bad} NaN or infinite values of {array.size}; check the weights and the inputs, and the "
                "precision: float16 overflows above 65504"
            )

"""What a method computes its maps from: activations, and gradients or a classifier's rows. All are checked.

N images, K targets per image, M = N * K rows; *S are the positions of a layer's map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xaicore.backend import Backend, Capture
from xaicore.errors import BackendError, InputError, LayerError, MethodError, OutputError
from xaicore.facts import Facts
from xaicore.layers import Place, find_outliers, no_map
from xaicore.maps import relu
from xaicore.methods import Method
from xaicore.outputs import OF_ONE_BOX, boxes_among, is_dense, probabilities, scores_of_boxes
from xaicore.targets import Aim, Classes

__all__ = ["arranged", "check_captured", "check_not_boxes", "check_outputs", "group_views", "maps_at", "scores_of"]


def check_outputs(outputs: np.ndarray, finds_layer: bool) -> None:
    """Refuse outputs that cannot be explained.

    Raises:
        InputError: there are none.
        BackendError: some are NaN.
        LayerError: they are a score per position, and no layer was named.
    """
    if not len(outputs):
        raise InputError(f"the batch is empty: outputs {outputs.shape}; expected one image or more")
    nan = int(np.isnan(outputs).sum())
    if nan:
        raise BackendError(f"the outputs have {nan} NaN values of {outputs.size}; check weights and inputs")
    if is_dense(outputs) and finds_layer:
        raise LayerError(
            f"outputs {outputs.shape} are a score per position, where the last map says little; name the layer to "
            "explain: layer=..."
        )


def check_not_boxes(facts: Facts, kind: str) -> None:
    """Refuse boxes, and class scores for each of several boxes, unless they are explained as values.

    Args:
        facts: of the pass.
        kind: of the output, once it is settled.

    Raises:
        OutputError: the output holds either.
    """
    output, outputs = facts.output, facts.outputs
    boxes = boxes_among(outputs)
    if kind == "values" or output is None or not boxes:
        return
    shape = outputs[output]
    if output in boxes:
        scores = [name for name, other in outputs.items() if len(other) == 2 and name not in boxes]
        advice = "explain one of its numbers, kind='values' with targets=0" if len(shape) == 2 else OF_ONE_BOX
        also = f", or the class scores, output={scores[0]!r}" if scores else ""
        raise OutputError(f"output {output!r} {shape} holds boxes, not class scores: {advice}{also}")
    rows = scores_of_boxes(outputs, output)
    if rows is not None:
        raise OutputError(
            f"output {output!r} {shape} holds scores for each of the boxes {rows!r} {outputs[rows]}, as detectors do, "
            f"not one score per class: {OF_ONE_BOX}"
        )


def check_captured(names: Sequence[str], capture: Capture, with_gradients: bool, backend: str) -> None:
    """Refuse a capture that lacks a layer.

    Raises:
        BackendError: activations or gradients of a layer are missing.
    """
    kinds = {"activations": capture.activations} | ({"gradients": capture.gradients} if with_gradients else {})
    for kind, arrays in kinds.items():
        missing = [layer for layer in names if layer not in arrays]
        if missing:
            given = ", ".join(arrays) or "no layer"
            raise BackendError(f"backend {backend!r} gave {kind} for {given}, not for {missing[0]!r}")


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
    if len(activations) != len(capture.outputs):
        raise LayerError(
            f"layer {layer!r} gave {len(activations)} maps for {len(capture.outputs)} pictures: where the model runs "
            "it for one image after the other, explain one image at a time"
        )
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


def group_views(maps: np.ndarray, count: int, views: int) -> np.ndarray:
    """Maps (N * views * K, *S) as (N * K, views, *S); with one view as they are."""
    if views == 1:
        return maps
    per_view = maps.reshape(count, views, -1, *maps.shape[1:]).swapaxes(1, 2)
    return np.ascontiguousarray(per_view).reshape(-1, views, *maps.shape[1:])


def scores_of(capture: Capture, aim: Aim, activation: str | None) -> np.ndarray:
    """Scores (M,): the target's own, if it has any; else the probability of its class.

    A target that is no class scores its direction times the outputs.
    """
    classes = aim.classes
    if aim.scores is not None:
        return aim.scores.reshape(-1)
    flat = capture.outputs.reshape(len(classes), 1, -1)
    linear = (aim.direction.reshape(*classes.shape, -1) * flat).sum(axis=-1, dtype=np.float64)
    if (classes < 0).all() or is_dense(capture.outputs):  # a class of a score map has no single probability
        return linear.reshape(-1)
    p = probabilities(capture.outputs, capture.outputs_kind, capture.link, activation)
    chosen = np.take_along_axis(p, np.maximum(classes, 0), axis=1)
    return np.where(classes < 0, linear, chosen).reshape(-1)

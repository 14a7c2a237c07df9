"""What is refused of a pass before maps are computed: outputs that cannot be explained, layers without a map."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from xaicore import trees
from xaicore.backend import Backend
from xaicore.capture import Capture
from xaicore.errors import BackendError, InputError, LayerError, OutputError, TargetError
from xaicore.facts import Facts
from xaicore.layers import no_map
from xaicore.outputs import OF_ONE_BOX, boxes_among, is_dense, scores_of_boxes
from xaicore.targets import Target

__all__ = [
    "check_bad",
    "check_captured",
    "check_class_axis",
    "check_count",
    "check_finite",
    "check_map",
    "check_not_boxes",
    "check_outputs",
    "check_parts",
    "check_rows",
    "compare_class_axes",
]


def check_outputs(outputs: np.ndarray, finds_layer: bool, picture_axes: int = 2) -> None:
    """Refuse outputs that cannot be explained.

    Args:
        outputs: (N, *O).
        finds_layer: no layer was named.
        picture_axes: how many spatial axes the picture has.

    Raises:
        InputError: there are none.
        BackendError: some are NaN.
        LayerError: they are a score per position of the picture, and no layer was named.
    """
    if not len(outputs):
        raise InputError(f"the batch is empty: outputs {outputs.shape}; expected one image or more")
    nan = int(np.isnan(outputs).sum())
    if nan:
        raise BackendError(f"the outputs have {nan} NaN values of {outputs.size}; check weights and inputs")
    if is_dense(outputs) and outputs.ndim - 2 == picture_axes and finds_layer:
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


def check_parts(target: Target, backend: Backend) -> None:
    """Refuse a target that reads outputs which the backend does not give.

    Raises:
        TargetError: it does not.
    """
    if target.needs_parts and "parts" not in backend.powers:
        raise TargetError(
            f"target {target!s} reads all outputs of the model, and backend {backend.name!r} gives the explained one "
            "alone: explain a model that returns the number in question as (N, 1)"
        )


def check_class_axis(facts: Facts | None, outputs: np.ndarray, backend: Backend) -> None:
    """Refuse outputs of more than two axes, of which nothing says where the classes are.

    Args:
        facts: of the pass; None for a backend that reports none, and puts the classes first itself.
        outputs: (N, *O).
        backend: which takes the axes from the caller, or does not.

    Raises:
        OutputError: nothing does.
    """
    if facts is None or facts.class_axis is not None or not is_dense(outputs):
        return
    unknown = f"outputs {outputs.shape}: nothing in the model says which axis holds the classes"
    if "parts" not in backend.powers:
        raise OutputError(
            f"{unknown}, and backend {backend.name!r} takes no output_axes=: explain a model that returns (N, classes)"
        )
    letters = "nlc" if outputs.ndim == 3 else "nchw" if outputs.ndim == 4 else "ncdhw"
    also = letters.replace("c", "") + "c" if outputs.ndim > 3 else "ncl"
    raise OutputError(
        f"{unknown}: pass output_axes={letters!r} or {also!r}, a letter per axis (n images, c classes, l tokens, "
        "h w d t positions)"
    )


def compare_class_axes(facts: Facts | None, stacklevel: int) -> None:
    """Warn where the caller's `output_axes=` names another axis for the classes than the layers show."""
    if facts is None or facts.shown_class_axis in (None, facts.class_axis):
        return
    shown = facts.shown_class_axis
    shape = () if facts.output is None else facts.outputs.get(facts.output, ())
    others = {3: "nl", 4: "nhw", 5: "ndhw"}.get(len(shape))
    remedy = f": if these are the classes, pass output_axes={f'{others[:shown]}c{others[shown:]}'!r}" if others else ""
    warnings.warn(
        f"output_axes= says that axis {facts.class_axis} of the output holds the classes, and the layer that made it "
        f"has its channels along axis {shown}{remedy}",
        RuntimeWarning,
        stacklevel=stacklevel + 1,
    )


def check_captured(
    names: Sequence[str], capture: Capture, with_gradients: bool, backend: str, is_reduced: bool = False
) -> None:
    """Refuse a capture that lacks a layer.

    Raises:
        BackendError: activations or gradients of a layer are missing, or what its reduction returned.
    """
    kinds = {"activations": capture.activations} | ({"gradients": capture.gradients} if with_gradients else {})
    kinds = {"reduced": capture.reduced} if is_reduced else kinds
    for kind, arrays in kinds.items():
        missing = [layer for layer in names if layer not in arrays]
        if missing:
            given = ", ".join(arrays) or "no layer"
            raise BackendError(f"backend {backend!r} gave {kind} for {given}, not for {missing[0]!r}")


def check_count(x: Any, capture: Capture, backend: str) -> None:
    """Refuse inputs whose images do not lie along the first axis: batches are cut and joined there.

    Args:
        x: what a model takes of which the backend reports no facts.
        capture: of the pass.

    Raises:
        InputError: the array with the most axes has another length there than the outputs.
    """
    images, outputs = trees.count(x), capture.outputs
    if images not in (0, len(outputs)):
        shape = max((tuple(leaf.shape) for leaf in trees.leaves(x) if hasattr(leaf, "shape")), key=len)
        if len(outputs) == 1 and len(shape) == len(capture.input_size) + 1:
            return  # one image, to which the backend itself gives its axis
        raise InputError(
            f"inputs {shape} have {images} entries on their first axis, and backend {backend!r} gave outputs of "
            f"{len(outputs)} images: images come first in what is passed, and a backend whose framework has them "
            "elsewhere turns them round"
        )


def check_map(layer: str, capture: Capture) -> None:
    """Refuse a layer that gives no finite map for each of the pictures.

    Raises:
        LayerError: it gives no map, or another number of them.
        BackendError: activations or gradients are not finite.
    """
    activations = capture.activations[layer]
    spatial = activations.shape[2:]
    if len(spatial) != len(capture.input_size) or int(np.prod(spatial)) < 2:
        raise no_map(layer, activations.shape, capture.input_size)
    check_rows(layer, len(activations), len(capture.outputs))
    check_finite(activations, f"the activations of layer {layer!r}")
    if layer in capture.gradients:
        check_finite(capture.gradients[layer], f"the gradients at layer {layer!r}")


def check_rows(layer: str, rows: int, pictures: int) -> None:
    """Refuse another number of maps than of pictures.

    Raises:
        LayerError: they differ.
    """
    if rows != pictures:
        raise LayerError(
            f"layer {layer!r} gave {rows} maps for {pictures} pictures: where the model runs it for one image after "
            "the other, explain one image at a time"
        )


def check_finite(array: np.ndarray, name: str) -> None:
    """Refuse NaN and infinity. A sum is finite for all but broken arrays, and much cheaper than to test each value."""
    with np.errstate(over="ignore", invalid="ignore"):
        is_suspicious = not np.isfinite(array.sum())
    if is_suspicious:
        check_bad(array.size - np.isfinite(array).sum(), array.size, name)


def check_bad(bad: float, size: int, name: str) -> None:
    """Refuse an array with this many NaN and infinite values.

    Raises:
        BackendError: there are some.
    """
    if bad:
        raise BackendError(
            f"{name} have {int(bad)} NaN or infinite values of {size}; check the weights and the inputs, and the "
            "precision: float16 overflows above 65504"
        )

"""What a pass gave, as a `Capture` has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from xaicore import Attention, LayerError
from xaicore.outputs import Output, are_probabilities
from xaicore_keras.asked import Leaf
from xaicore_keras.blocks import Block
from xaicore_keras.inputs import Inputs
from xaicore_keras.survey import Survey

__all__ = ["arrays_of", "class_axis_first", "floats", "kind_of_outputs", "of_layers", "parts_of", "tables_of"]


def class_axis_first(outputs: np.ndarray, survey: Survey) -> np.ndarray:
    """Outputs (N, ...) with the class axis at 1."""
    return outputs if outputs.ndim < 3 else np.moveaxis(outputs, survey.output_axis, 1)


def kind_of_outputs(outputs: np.ndarray, survey: Survey) -> str:
    """The survey's kind, or "probabilities" for a softmax that the graph does not show as one."""
    if survey.link is None and (survey.is_opaque or survey.kind == "values"):
        tolerance = 1e-5 if survey.output_dtype in ("float32", "float64") else 2e-2
        return "probabilities" if are_probabilities(outputs, tolerance) else survey.kind
    return survey.kind


def arrays_of(
    values: Mapping[Leaf, np.ndarray],
    pulled: Mapping[str, Mapping[Leaf, np.ndarray | None]],
    blocks: Sequence[Block],
    rules: Sequence[str],
    batch: Inputs,
) -> dict[str, Any]:
    """The arrays of a `Capture`, by the names of its fields.

    Args:
        values: of the leaves that were read.
        pulled: {rule: gradients}.
        blocks: the attentions that were asked for.
        rules: by which gradients of the inputs were asked for.
        batch: what the model took.

    Raises:
        LayerError: the images share an attention.
    """
    plain = pulled.get("plain", {})
    return {
        "activations": of_layers(values),
        "gradients": of_layers(plain),
        "attention": {block.facts.name: _of_attention(block, values, plain, batch.count) for block in blocks},
        "input_gradients": {rule: _of_inputs(pulled.get(rule, {}), len(batch.tensors)) for rule in rules},
    }


def tables_of(pulled: Mapping[str, Mapping[Leaf, np.ndarray | None]]) -> dict[str, Any]:
    """The same of layers that were reduced."""
    return {"activations": {}, "reduced": of_layers(pulled.get("plain", {}))}


def parts_of(
    values: Mapping[Leaf, np.ndarray], survey: Survey, output: Output, count: int
) -> dict[int | str, Sequence[np.ndarray]]:
    """{name or position: an array per image} of the outputs that were asked for, in the model's types.

    An output that is the same for any number of images, such as the anchors of a detector, is that of every image. One
    whose length depends on values is left out.
    """
    found: dict[int | str, Sequence[np.ndarray]] = {}
    for leaf, value in values.items():
        if leaf.kind != "output":
            continue
        name, kind = leaf.name, survey.types[leaf.name]
        axis = output.order[0] if output.order is not None and name == survey.facts.output else 0
        array = value if keras.backend.is_float_dtype(kind) else value.astype(kind)
        rows = _by_image(np.moveaxis(array, axis, 0) if axis else array, count, survey, name, axis)
        if rows is not None:
            found[name] = rows
    return found


def _by_image(array: np.ndarray, count: int, survey: Survey, name: int | str, axis: int) -> Sequence[np.ndarray] | None:
    """An array per image, by what the axis of the images was in the pass that was surveyed."""
    shape, surveyed = survey.facts.outputs[name], survey.facts.count
    if not shape:
        return [array] * count
    length = shape[axis]
    if length != surveyed and len(array) == length:
        return [array] * count
    if not length or length % surveyed or len(array) * surveyed != length * count:
        return None
    return list(array if length == surveyed else array.reshape(count, -1, *array.shape[1:]))


def of_layers(values: Mapping[Leaf, np.ndarray | None]) -> dict[str, np.ndarray]:
    """{layer: array}."""
    return {str(leaf.name): value for leaf, value in values.items() if leaf.kind == "layer" and value is not None}


def _of_inputs(pulled: Mapping[Leaf, np.ndarray | None], count: int) -> Sequence[np.ndarray | None]:
    """The gradient (N, K, *input) of each of the model's inputs; None for one without a gradient."""
    return [pulled.get(Leaf("input", position)) for position in range(count)]


def _of_attention(
    block: Block, values: Mapping[Leaf, np.ndarray], pulled: Mapping[Leaf, np.ndarray | None], count: int
) -> Attention:
    """One attention, from the values of its parts and from what was pulled back to them."""
    parts = {part: values[leaf] for part, leaf in block.leaves.items()}
    gradients = {part: pulled.get(leaf) for part, leaf in block.leaves.items()}
    shape = parts["weights"].shape[:2]
    if shape[0] % count:
        raise LayerError(
            f"attention {block.facts.name!r} has {shape[0]} rows for {count} images, which share it: explain one image "
            "at a time, or use a method on a layer, such as 'gradcam'"
        )
    return Attention(
        **{part: np.broadcast_to(array, (*shape, *array.shape[2:])) for part, array in parts.items()},
        weights_gradients=gradients["weights"],
        output_gradients=gradients.get("output"),
    )


def floats(array: np.ndarray) -> np.ndarray:
    """The array, in float32 where it has floating-point numbers."""
    is_float = keras.backend.is_float_dtype(array.dtype.name) and array.dtype != np.float32
    return array.astype(np.float32) if is_float else array

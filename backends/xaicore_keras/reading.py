"""What a pass gave, as a `Capture` has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from xaicore import Attention
from xaicore.outputs import are_probabilities
from xaicore_keras.asked import Leaf
from xaicore_keras.blocks import Block
from xaicore_keras.survey import Survey

__all__ = ["class_axis_first", "kind_of_outputs", "of_attention", "of_inputs", "of_layers"]


def class_axis_first(outputs: np.ndarray, survey: Survey) -> np.ndarray:
    """Outputs (N, ...) with the class axis at 1."""
    return outputs if outputs.ndim < 3 else np.moveaxis(outputs, survey.output_axis, 1)


def kind_of_outputs(outputs: np.ndarray, survey: Survey) -> str:
    """The survey's kind, or "probabilities" for a softmax that the graph does not show as one."""
    if survey.link is None and (survey.is_opaque or survey.kind == "values"):
        tolerance = 1e-5 if survey.output_dtype in ("float32", "float64") else 2e-2
        return "probabilities" if are_probabilities(outputs, tolerance) else survey.kind
    return survey.kind


def of_layers(values: Mapping[Leaf, np.ndarray | None]) -> dict[str, np.ndarray]:
    """{layer: array}."""
    return {str(leaf.name): value for leaf, value in values.items() if leaf.kind == "layer" and value is not None}


def of_inputs(pulled: Mapping[Leaf, np.ndarray | None], count: int) -> Sequence[np.ndarray | None]:
    """The gradient (N, K, *input) of each of the model's inputs; None for one without a gradient."""
    return [pulled.get(Leaf("input", position)) for position in range(count)]


def of_attention(
    block: Block, values: Mapping[Leaf, np.ndarray], pulled: Mapping[Leaf, np.ndarray | None]
) -> Attention:
    """One attention, from the values of its parts and from what was pulled back to them."""
    parts = {leaf.part: values[leaf] for leaf in block.leaves(False)}
    gradients = {leaf.part: pulled.get(leaf) for leaf in block.leaves(True)}
    shape = parts["weights"].shape[:2]
    return Attention(
        **{part: np.broadcast_to(array, (*shape, *array.shape[2:])) for part, array in parts.items()},
        weights_gradients=gradients["weights"],
        output_gradients=gradients.get("output"),
    )

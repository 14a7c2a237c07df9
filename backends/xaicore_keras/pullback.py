"""Directions in output space, pulled back to layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xaicore import LayerError, pull_in_half
from xaicore.layers import image_axes, pull_images, split_run
from xaicore_keras.engine import Forward
from xaicore_keras.survey import Survey
from xaicore_keras.traces import Traces

__all__ = ["pull_back"]


def pull_back(
    forward: Forward, survey: Survey, traces: Traces, layers: Sequence[str], direction: np.ndarray
) -> dict[str, np.ndarray]:
    """The direction (N, K, *O), pulled back to the layers: {layer: (N, K, *layer)}.

    One image after the other where the outputs of one depend on the others; known from the first batch on.

    Raises:
        LayerError: a layer does not reach the outputs.
    """
    if direction.ndim > 3:
        direction = np.moveaxis(direction, 2, survey.output_axis + 1)
    direction = np.ascontiguousarray(direction)
    is_half = any(survey.specs[split_run(name)[0]].dtype == "float16" for name in layers)

    def pull(direction: np.ndarray) -> Sequence[np.ndarray | None]:
        return pull_in_half(forward.pull, direction) if is_half else forward.pull(direction)

    key = ("coupled", survey.facts.output, tuple(layers))
    shapes = [survey.specs[split_run(name)[0]].shape for name in layers]
    of_one = shapes if survey.facts.count == 1 else None
    axes = image_axes([a.shape for a in forward.activations], of_one, len(direction))
    pulled, traces.facts[key] = pull_images(pull, direction, axes, traces.facts.get(key))
    gradients: dict[str, np.ndarray] = {}
    for name, gradient in zip(layers, pulled, strict=True):
        if gradient is None:
            raise LayerError(
                f"layer {name!r} does not reach the outputs: its output is not used, or what follows has no gradient "
                "(an imported graph, integers). Name another: layer=... If the model calls it in vectorized_map or "
                "map, which compute it in another way, call it on one batch instead: x reshaped to (N * frames, ...)"
            )
        gradients[name] = gradient
    return gradients

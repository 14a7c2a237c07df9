"""Directions in output space, pulled back to layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xaicore import LayerError, pull_in_half
from xaicore.layers import split_run
from xaicore.layers.coupling import are_coupled, image_axis, pull_each
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

    key, axes = ("coupled", survey.facts.output, tuple(layers)), _image_axes(forward, survey, layers, len(direction))
    if axes is not None and traces.facts.get(key) is None:
        traces.facts[key] = are_coupled(pull, direction, axes)
    pulled = pull_each(pull, direction, axes) if axes is not None and traces.facts[key] else pull(direction)
    gradients: dict[str, np.ndarray] = {}
    for name, gradient in zip(layers, pulled, strict=True):
        if gradient is None:
            raise LayerError(
                f"layer {name!r} does not reach the outputs: its output is not used, or what follows has no gradient "
                "(an imported graph, integers). Name another: layer=..."
            )
        gradients[name] = gradient
    return gradients


def _image_axes(forward: Forward, survey: Survey, layers: Sequence[str], count: int) -> list[int] | None:
    """Per layer, the axis of its output that holds the images; None for one image, or where it is not known."""
    if count == 1 or survey.facts.count != 1:
        return None
    shapes = (survey.specs[split_run(name)[0]].shape for name in layers)
    found = [image_axis(a.shape, one, count) for a, one in zip(forward.activations, shapes, strict=True)]
    axes = [axis for axis in found if axis is not None]
    return axes if len(axes) == len(found) else None

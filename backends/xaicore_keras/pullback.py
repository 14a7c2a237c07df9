"""Directions in output space, pulled back to the tensors of a pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xaicore import LayerError, pull_in_half
from xaicore.layers import image_axes, pull_images, split_run
from xaicore_keras.asked import Asked, Leaf
from xaicore_keras.engine import Forward
from xaicore_keras.reducer import Reducer
from xaicore_keras.survey import Survey
from xaicore_keras.traces import Traces

__all__ = ["pull_back"]


def pull_back(
    forward: Forward,
    survey: Survey,
    traces: Traces,
    asked: Asked,
    direction: np.ndarray,
    rule: str = "plain",
    reducer: Reducer | None = None,
) -> dict[Leaf, np.ndarray | None]:
    """The direction (N, K, *O), pulled back under a rule: {leaf: (N, K, *leaf)}, or its table, where it is reduced.

    One image after the other where the outputs of one depend on the others; known from the first batch on. None for
    an input that does not reach the outputs.

    Raises:
        LayerError: a layer or an attention does not reach the outputs.
    """
    if direction.ndim > 3:
        direction = np.moveaxis(direction, 2, survey.output_axis + 1)
    direction = np.ascontiguousarray(direction)
    ends = asked.ends(rule)
    is_half = any(spec.dtype == "float16" for spec in survey.specs.values())

    def pull(direction: np.ndarray, *scale: Any) -> list[np.ndarray | None]:
        return forward.pull(direction, rule, *scale)

    def pull_scaled(direction: np.ndarray) -> Sequence[np.ndarray | None]:
        if is_half and reducer is not None:
            return reducer.in_half(pull, direction)
        return pull_in_half(pull, direction) if is_half else pull(direction)

    key = ("coupled", survey.facts.output, ends, rule)
    axes = _image_axes(forward, survey, asked, ends, len(direction))
    if reducer is not None and axes is not None:
        axes = [0] * len(axes)  # images come first in a table
    # Other rules leave out negative gradients, which may be all that reaches one image from another.
    of_plain = ("coupled", survey.facts.output, asked.ends("plain"), "plain")
    is_coupled = traces.facts.get(of_plain) or traces.facts.get(key)
    pulled, traces.facts[key] = pull_images(pull_scaled, direction, axes, is_coupled)
    gradients = dict(zip(ends, pulled, strict=True))
    for leaf, gradient in gradients.items():
        if leaf.kind != "input" and gradient is None:
            raise LayerError(
                f"{leaf.kind} {leaf.name!r} does not reach the outputs: its output is not used, or what follows has no "
                "gradient (an imported graph, integers). Name another: layer=... If the model calls it in "
                "vectorized_map or map, which compute it in another way, call it on one batch instead: x reshaped to "
                "(N * frames, ...)"
            )
    return gradients


def _image_axes(forward: Forward, survey: Survey, asked: Asked, ends: Sequence[Leaf], count: int) -> list[int] | None:
    """Per end, the axis that holds the images; None where that is not known. All but layers have them first."""
    values = dict(zip(asked.read, forward.values, strict=True))
    layers = [leaf for leaf in ends if leaf.kind == "layer"]
    of_one = [survey.specs[split_run(str(leaf.name))[0]].shape for leaf in layers] if survey.facts.count == 1 else None
    axes = image_axes([tuple(values[leaf].shape) for leaf in layers], of_one, count) if layers else []
    if axes is None:
        return None
    found = dict(zip(layers, axes, strict=True))
    return [found.get(leaf, 0) for leaf in ends]

"""The dense classifier that CAM needs, found by what it computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xaicore.errors import MethodError
from xaicore.outputs import EQUAL, matches_link

__all__ = ["Dense", "find_classifier"]


@dataclass(frozen=True, eq=False)
class Dense:
    """A dense layer: its weight (classes, C), and its bias (classes,) or None."""

    weight: np.ndarray
    bias: np.ndarray | None = None


def find_classifier(
    features: np.ndarray,
    outputs: np.ndarray,
    candidates: Mapping[str, Dense],
    *,
    model: str,
    layer: str,
    hint: str = "",
    instead: str = "method='gradcam', which equals CAM where CAM exists",
    tolerance: float = EQUAL,
) -> str:
    """The name of the dense layer that turns the spatial mean of features (N, C, *S) into outputs (N, ...).

    That is the definition of a net that CAM explains (Zhou et al. 2016), checked on numbers: names and order of
    layers do not tell what a model does between them. Outputs may be the logits or a softmax, log-softmax or sigmoid
    of them.

    Args:
        features: the activations of the layer.
        outputs: the model's outputs for the same images.
        candidates: {name: dense layer}; those of another shape are left out.
        model, layer: names for the message.
        hint: what else a user can do, appended to the message.
        instead: the method to use instead; name one without gradients where the backend has none.
        tolerance: as in `xaicore.outputs.matches_link`.

    Raises:
        MethodError: there is no such layer, or the features are zero for every image, so that any bias would do.
    """
    mean = features.reshape(*features.shape[:2], -1).mean(axis=2, dtype=np.float64)
    if not mean.any():
        raise MethodError(f"layer {layer!r} is zero for every image, so that CAM has no evidence: pass other images")
    for name, dense in candidates.items():
        if dense.weight.shape[1] != mean.shape[1] or len(dense.weight) * len(mean) != outputs.size:
            continue
        bias = 0 if dense.bias is None else dense.bias
        if matches_link(outputs, mean @ dense.weight.T + bias, tolerance):
            return name
    raise MethodError(
        f"CAM needs a net that ends in global average pooling and one dense layer; in {model} no dense layer turns "
        f"the spatial mean of {layer!r} into the outputs. Use {instead}{hint}"
    )

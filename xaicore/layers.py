"""Reading a model's layers: which one is explained, which one CAM needs, and the errors for the others.

Backends report facts of layers as `Layer`; what these mean is decided here, alike for all frameworks.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xaicore.backend import Layer
from xaicore.errors import LayerError, MethodError
from xaicore.outputs import matches_link

__all__ = [
    "Dense",
    "as_layers",
    "default_layer",
    "find_classifier",
    "is_pooling",
    "never_ran",
    "no_map",
    "unknown_layer",
]

POOLING = re.compile(r"Pool(ing)?(\d[dD])?$|^GeM")


@dataclass(frozen=True, eq=False)
class Dense:
    """A dense layer: its weight (classes, C), and its bias (classes,) or None."""

    weight: np.ndarray
    bias: np.ndarray | None = None


def as_layers(layer: str | Sequence[str] | None) -> tuple[str, ...]:
    """The names of layers, without repetitions; empty where the layer is to be found.

    Raises:
        LayerError: `layer` is neither a name, nor names, nor None.
    """
    if layer is None:
        return ()
    names = (layer,) if isinstance(layer, str) or not isinstance(layer, Iterable) else tuple(layer)
    if not names or not all(isinstance(name, str) for name in names):
        raise LayerError(
            f"layer={layer!r}: expected a layer's name as `xaicore layers` shows it, several names, or None to find one"
        )
    return tuple(dict.fromkeys(names))


def default_layer(layers: Sequence[Layer]) -> str:
    """The layer to explain when none is named: the last one that is spatial and not pooled.

    Raises:
        LayerError: there is none, or tokens follow it: then the last map is the patch embedding, and a heatmap of
            that says nothing about the prediction.
    """
    at = max((i for i, layer in enumerate(layers) if layer.spatial and not layer.pooled), default=None)
    if at is None:
        shapes = ", ".join(f"{layer.name} {layer.shape}" for layer in layers[-5:])
        seen = f"the last ones: {shapes}. Name one: layer=..." if shapes else "the model has no layers inside of it"
        raise LayerError(f"no layer gives a map of the picture; {seen}")
    last_map, axes = layers[at], len(layers[at].shape)
    tokens = [layer for layer in layers[at + 1 :] if _is_tokens(layer.shape, axes)]
    if tokens:
        raise LayerError(
            f"after the last map, {last_map.name!r} {last_map.shape}, come tokens or a sequence, as in an attention "
            f"model: {tokens[-1].name!r} {tokens[-1].shape}. Name the layer to explain: layer=..."
        )
    return last_map.name


def is_pooling(layer: type) -> bool:
    """Whether a class of layers pools: it, or one of its bases, calls itself so."""
    return any(POOLING.search(base.__name__) for base in layer.__mro__)


def find_classifier(
    features: np.ndarray,
    outputs: np.ndarray,
    candidates: Mapping[str, Dense],
    *,
    model: str,
    layer: str,
    hint: str = "",
    tolerance: float = 1e-3,
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
        tolerance: as in `xaicore.outputs.matches_link`; half precision needs 2e-2.

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
        f"the spatial mean of {layer!r} into the outputs. Use method='gradcam', which equals CAM where CAM exists{hint}"
    )


def unknown_layer(name: str, known: Sequence[str], model: str) -> LayerError:
    """The error to raise for a name that no layer of the model has; offers the nearest ones."""
    near = difflib.get_close_matches(name, known, 5, 0.4)
    offered = f"nearest names: {', '.join(near)}" if near else f"its last layers: {', '.join(known[-5:])}"
    return LayerError(f"no layer called {name!r} in {model}; {offered}")


def never_ran(name: str) -> LayerError:
    """The error to raise for a layer that exists and that no pass reached."""
    return LayerError(
        f"layer {name!r} never ran for this input: the model does not use it, or calls its code directly; see "
        "`layers` for those that run"
    )


def no_map(
    name: str, shape: Sequence[int | None], input_size: Sequence[int | None], count: int | None = None
) -> LayerError:
    """The error to raise for a layer whose output (N, C, *S) of this shape is no map of an input of this size.

    `count` is the number of images, where the output has another one.
    """
    images = "an input" if count is None else f"{count} images"
    return LayerError(
        f"layer {name!r} gives {tuple(shape)}, which is no map of {images} of size {tuple(input_size)}: expected "
        f"({'N' if count is None else count}, channels, *positions) with {len(input_size)} spatial axes and more than "
        "one position. Name a convolution or a block of them, or no layer to have one found"
    )


def _is_tokens(shape: tuple[int, ...], axes_of_a_map: int) -> bool:
    """(N, tokens, features) in a model of pictures or volumes; a 1-D signal's maps look the same."""
    return len(shape) == 3 < axes_of_a_map and shape[1] > 1 and shape[2] > 1

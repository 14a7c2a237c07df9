"""The dense classifier of a net that ends in global average pooling, found by what it computes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from xaicore import MethodError
from xaicore_keras.paths import walk

__all__ = ["classifier_rows", "find_classifier"]


def find_classifier(model: Any, layer: str, features: np.ndarray, outputs: np.ndarray) -> str:
    """The path of the dense layer that turns the spatial mean of features (N, C, *spatial) into outputs (N, classes).

    That is the definition of a net that CAM explains (Zhou 2016), checked on numbers: names and order of layers
    do not tell what a call does between them. A 1 x 1 convolution is a dense layer too.

    Raises:
        MethodError: there is none, or the features are all zero, so that any bias would do.
    """
    mean = features.reshape(*features.shape[:2], -1).mean(axis=2, dtype=np.float64)
    if not mean.any():
        raise MethodError(f"layer {layer!r} is zero for every image, so that CAM has no evidence: pass other images")
    candidates = {path: dense for path, dense in walk(model).items() if _fits(dense, mean, outputs)}
    for path, dense in candidates.items():
        bias = getattr(dense, "bias", None)
        logits = mean @ classifier_rows(dense).T + (0 if bias is None else _float(bias))
        if any(_close(link.reshape(outputs.shape), outputs) for link in _links(logits)):
            return path
    quantised = [path for path, dense in candidates.items() if dense.quantization_mode is not None]
    hint = f" ({', '.join(quantised)}: quantised, and no more exact)" if quantised else ""
    raise MethodError(
        f"CAM needs a net that ends in global average pooling and one dense layer; in {type(model).__name__} no "
        f"dense layer turns the spatial mean of {layer!r} into the outputs{hint}. Use method='gradcam', which equals "
        "CAM where CAM exists, or xaicore_keras.cam_model(model, classes), which makes such a net"
    )


def classifier_rows(dense: Any) -> np.ndarray:
    """(classes, C) of a dense layer or a convolution with a kernel of one position."""
    kernel = _float(dense.kernel)
    return np.ascontiguousarray(kernel.reshape(kernel.shape[-2:]).T)


def _fits(layer: Any, mean: np.ndarray, outputs: np.ndarray) -> bool:
    """Whether a layer takes C channels and gives as many classes as there are, position by position."""
    kernel = getattr(layer, "kernel", None) if isinstance(layer, keras.Layer) and layer.built else None
    shape = () if kernel is None else tuple(kernel.shape)
    if len(shape) < 2 or any(length != 1 for length in shape[:-2]) or getattr(layer, "groups", 1) != 1:
        return False
    return shape[-2] == mean.shape[1] and shape[-1] * len(mean) == outputs.size


def _links(logits: np.ndarray) -> list[np.ndarray]:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax = shifted / shifted.sum(axis=1, keepdims=True)
    return [logits, softmax, np.log(np.maximum(softmax, np.finfo(np.float64).tiny)), 1 / (1 + np.exp(-logits))]


def _float(variable: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(variable)).astype(np.float32)


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.allclose(a, b, rtol=1e-3, atol=1e-3 * float(np.abs(b).max())))

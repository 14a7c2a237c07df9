"""The dense classifier of a net that ends in global average pooling, found by what it computes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from xaicore import MethodError
from xaicore_keras.paths import walk

__all__ = ["find_classifier"]


def find_classifier(model: Any, layer: str, features: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """The rows (classes, C) that turn the spatial mean of features (N, C, *spatial) into the outputs (N, classes).

    That is the definition of a net that CAM explains (Zhou 2016), checked on numbers: names and order of layers
    do not tell what a call does between them. A 1 x 1 convolution is a dense layer too.

    Raises:
        MethodError: there are none.
    """
    mean = features.reshape(*features.shape[:2], -1).mean(axis=2, dtype=np.float64)
    for dense in walk(model).values():
        kernel = _kernel(dense)
        if kernel is None or len(kernel) != mean.shape[1] or kernel.shape[1] * len(mean) != outputs.size:
            continue
        bias = getattr(dense, "bias", None)
        logits = mean @ kernel + (0 if bias is None else _float(bias))
        if any(_close(link.reshape(outputs.shape), outputs) for link in _links(logits)):
            return np.ascontiguousarray(kernel.T)
    raise MethodError(
        f"CAM needs a net that ends in global average pooling and one dense layer; in {type(model).__name__} no "
        f"dense layer turns the spatial mean of {layer!r} into the outputs. Use method='gradcam', which equals CAM "
        "where CAM exists, or xaicore_keras.cam_model(model, classes), which makes such a net"
    )


def _kernel(layer: Any) -> np.ndarray | None:
    """(C, classes) of a dense layer or a convolution with a kernel of one position; None of others."""
    if not isinstance(layer, keras.Layer) or not layer.built or getattr(layer, "groups", 1) != 1:
        return None
    kernel = getattr(layer, "kernel", None)
    if kernel is None or not keras.backend.is_float_dtype(keras.backend.standardize_dtype(kernel.dtype)):
        return None
    shape = tuple(kernel.shape)
    if len(shape) < 2 or any(length != 1 for length in shape[:-2]):
        return None
    return _float(kernel).reshape(shape[-2:])


def _links(logits: np.ndarray) -> list[np.ndarray]:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax = shifted / shifted.sum(axis=1, keepdims=True)
    return [logits, softmax, np.log(np.maximum(softmax, np.finfo(np.float64).tiny)), 1 / (1 + np.exp(-logits))]


def _float(variable: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(variable)).astype(np.float32)


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.allclose(a, b, rtol=1e-3, atol=1e-3 * float(np.abs(b).max())))

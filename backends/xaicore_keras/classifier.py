"""The dense classifier of a net that ends in global average pooling."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np

from xaicore.layers import Dense, find_classifier
from xaicore_keras.paths import walk

__all__ = ["classifier_path", "dense_of"]


def classifier_path(
    model: Any, layer: str, features: np.ndarray, outputs: np.ndarray, has_gradients: bool = True
) -> str:
    """The path of the dense layer that turns the spatial mean of features (N, C, *spatial) into outputs (N, classes).

    Where there is none, the error names a method that works; without gradients another one than with them.

    Raises:
        MethodError: there is none, or the features are all zero.
    """
    fitting = {path: part for path, part in walk(model).items() if _is_dense(part, features.shape[1])}
    quantised = [path for path, part in fitting.items() if part.quantization_mode is not None]
    hint = f"; quantised, so no longer exact: {', '.join(quantised)}" if quantised else ""
    without = functools.partial(find_classifier, instead="method='eigencam', 'scorecam' or 'reciprocam'")
    return (find_classifier if has_gradients else without)(
        features,
        outputs,
        {path: dense_of(part) for path, part in fitting.items()},
        model=type(model).__name__,
        layer=layer,
        hint=f", or, for a net of convolutions, xaicore_keras.cam_model(model, classes), which makes such a net{hint}",
    )


def dense_of(layer: Any) -> Dense:
    """A dense layer, or a convolution with a kernel of one position, as rows (classes, C) and bias."""
    kernel, bias = _float32(layer.kernel), getattr(layer, "bias", None)
    rows = np.ascontiguousarray(kernel.reshape(kernel.shape[-2:]).T)
    return Dense(rows, None if bias is None else _float32(bias))


def _is_dense(layer: Any, channels: int) -> bool:
    """Whether a layer maps this many channels to classes, position by position."""
    kernel = getattr(layer, "kernel", None) if isinstance(layer, keras.Layer) and layer.built else None
    shape = () if kernel is None else tuple(kernel.shape)
    is_pointwise = all(length == 1 for length in shape[:-2]) and getattr(layer, "groups", 1) == 1
    return len(shape) >= 2 and shape[-2] == channels and is_pointwise


def _float32(variable: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(variable)).astype(np.float32)

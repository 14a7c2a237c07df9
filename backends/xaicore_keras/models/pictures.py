"""How a picture becomes the input of a Keras model, where the model or its library says it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from xaicore import BackendError
from xaicore.models import central_part
from xaicore_keras.graph import find_graph, graph_calls
from xaicore_keras.paths import walk

__all__ = ["Pixels", "own_pixels", "picture_size"]

WHOLE_LEVELS = 1 / 64
"""A rescaling by less than this one is of pixels from 0 to 255."""


@dataclass(frozen=True)
class Pixels:
    """The largest central part of a picture in the model's proportions, resized, and its pixels scaled.

    Args:
        size: (height, width) that the model takes.
        scale: a function of pixels from 0 to 255, (H, W, 3) or (3, H, W) float32; None leaves them.
        name: what it is called, for people.
    """

    size: tuple[int, int]
    scale: Callable[[np.ndarray], Any] | None
    name: str

    def __call__(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """From (H, W, 3) uint8 RGB to x in the data format of Keras, and the picture of it, (h, w, 3) uint8 RGB."""
        seen = central_part(picture, self.size)
        x = seen.astype(np.float32)
        if keras.config.image_data_format() == "channels_first":
            x = np.ascontiguousarray(x.transpose(2, 0, 1))
        return (x if self.scale is None else np.asarray(self.scale(x))), seen

    def __str__(self) -> str:
        return f"{self.name}, {self.size[0]} x {self.size[1]}"


def picture_size(model: Any) -> tuple[int, int] | None:
    """(height, width) of the pictures that a model takes; None where it takes no pictures of one size."""
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or not all(isinstance(one, int) for one in shape[1:]):
        return None
    is_first = keras.config.image_data_format() == "channels_first"
    channels, size = (shape[1], shape[2:]) if is_first else (shape[3], shape[1:3])
    return size if channels == 3 else None


def own_pixels(model: Any) -> Pixels | None:
    """The preparation of a model that scales pixels from 0 to 255 itself; None where nothing shows that it does."""
    size = picture_size(model)
    if size is None:
        return None
    try:
        graph = find_graph(model)
        calls = graph_calls(graph, walk(model))
    except BackendError:  # a subclassed model: its code does not say what it takes
        return None
    readers = [call.layer for call in calls if any(one is graph.inputs[0] for one in call.inputs)]
    if not readers or not all(isinstance(one, keras.layers.Rescaling) for one in readers):
        return None
    scales = [float(np.max(one.scale)) for one in readers]
    return Pixels(size, None, "pixels from 0 to 255, which the model rescales") if max(scales) < WHOLE_LEVELS else None

"""From a picture to a model's input: by the user's function, or as most ImageNet models expect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from xaicore.backend import Backend
from xaicore.cli.files import PictureError
from xaicore.errors import InputError, XaicoreError, type_name
from xaicore.opencv import cv2

__all__ = ["BUILT_IN", "Preparation", "imagenet", "stack"]

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
BUILT_IN = "built-in (ImageNet: short side 256, centre 224 x 224, mean and standard deviation)"


@dataclass(frozen=True)
class Preparation:
    """A function from a picture, (H, W, 3) uint8 RGB, to `(x, picture)` or `x` alone, and its name.

    x is one input without a batch axis; picture, uint8 RGB, is the part of the picture that the network sees.
    """

    function: Callable[[np.ndarray], Any]
    name: str

    def for_backend(self, backend: Backend) -> Preparation:
        """The built-in preparation in the layout that the backend's model takes; the user's own is kept."""
        if self.function is imagenet and backend.channels_last:
            return replace(self, function=partial(imagenet, channels_last=True))
        return self

    def __call__(self, picture: np.ndarray, file: str) -> tuple[np.ndarray, np.ndarray | None]:
        """One input, and its picture if the function returns one.

        Raises:
            PictureError: the function raised, perhaps for this picture only; the message names the file.
            InputError: the function returned something unexpected, as it would for every picture.
        """
        origin = f"preprocess {self.name}, {file}"
        try:
            result = self.function(picture)
            x, seen = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
            x = np.asarray(x)
        except XaicoreError:
            raise
        except Exception as exc:
            raise PictureError(f"{origin}: {type(exc).__name__}: {exc}") from exc
        if x.dtype.kind not in "uifb" or not x.ndim:
            raise InputError(f"{origin}: returned a {type_name(result)}; expected an array x, or a tuple (x, picture)")
        if seen is None:
            return x, None
        seen = np.asarray(seen)
        if seen.dtype != np.uint8 or seen.ndim != 3 or seen.shape[-1] != 3:
            raise InputError(
                f"{origin}: returned a picture of shape {seen.shape} and type {seen.dtype}; expected uint8 RGB (H, W, "
                "3), as the network sees it, before scaling"
            )
        return x, seen


def imagenet(picture: np.ndarray, channels_last: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The preparation that most ImageNet models expect: short side 256, centre 224 x 224, mean and deviation.

    (H, W, 3) uint8 RGB gives x (3, 224, 224) float32, or (224, 224, 3), and the picture (224, 224, 3). Shrinking
    averages over areas, which avoids aliasing.
    """
    height, width = picture.shape[:2]
    scale = 256 / min(height, width)
    size = max(256, int(width * scale)), max(256, int(height * scale))  # width first
    resized = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (size[1] - 224) // 2, (size[0] - 224) // 2
    seen = np.ascontiguousarray(resized[top : top + 224, left : left + 224])
    x = (seen.astype(np.float32) / 255 - MEAN) / STD
    return (x if channels_last else np.ascontiguousarray(x.transpose(2, 0, 1))), seen


def stack(arrays: list[np.ndarray], ids: list[str], kind: str) -> np.ndarray:
    """Stack arrays of one shape along a new batch axis.

    Raises:
        InputError: the shapes differ.
    """
    for array, name in zip(arrays, ids, strict=True):
        if array.shape != arrays[0].shape:
            raise InputError(
                f"preprocess returned {kind} of shape {arrays[0].shape} for {ids[0]} and {array.shape} for {name}: a "
                "batch needs one shape. Crop or resize in preprocess, or pass --batch-size 1"
            )
    return np.stack(arrays)

"""What `xaicore explain` does with pictures where nothing says how to prepare them: as most ImageNet models expect."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from xaicore.backend import Backend
from xaicore.opencv import cv2
from xaicore.pictures import Preparation

__all__ = ["BUILT_IN", "UNKNOWN", "Preparation", "for_backend", "imagenet", "is_built_in"]

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
BUILT_IN = "built-in (ImageNet: short side 256, centre 224 x 224, mean and standard deviation)"
UNKNOWN = (
    "nothing says how this model's pictures are prepared, so that they are as for most ImageNet models: where it was "
    "trained on others, pass --preprocess FILE.py:FUNCTION"
)


def for_backend(prepare: Preparation, backend: Backend) -> Preparation:
    """The built-in preparation in the layout that the backend's model takes; the user's own is kept."""
    if prepare.function is imagenet and backend.channels_last:
        return replace(prepare, function=partial(imagenet, channels_last=True))
    return prepare


def is_built_in(function: object) -> bool:
    """Whether nobody has said how the pictures are prepared."""
    return getattr(function, "func", function) is imagenet


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

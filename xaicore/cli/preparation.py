"""`--preprocess imagenet`: pictures as most ImageNet models of PyTorch expect them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from xaicore.backend import Backend
from xaicore.opencv import cv2
from xaicore.pictures import Preparation

__all__ = ["IMAGENET", "SIZE", "Preparation", "for_backend", "imagenet"]

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
SIZE = (224, 224)
"""(height, width) of what it makes."""

IMAGENET = "imagenet (short side 256, centre 224 x 224, mean and standard deviation)"
"""Its name in results: the word that is typed, and what it does."""


def for_backend(prepare: Preparation, backend: Backend) -> Preparation:
    """ImageNet's preparation in the layout that the backend's model takes; any other is kept."""
    if prepare.function is imagenet and backend.channels_last:
        return replace(prepare, function=partial(imagenet, channels_last=True))
    return prepare


def imagenet(picture: np.ndarray, channels_last: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The preparation of most ImageNet models: short side 256, centre 224 x 224, mean and deviation.

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

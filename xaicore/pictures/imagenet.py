"""Pictures as most ImageNet models of PyTorch take them."""

from __future__ import annotations

import numpy as np

from xaicore.opencv import cv2

__all__ = ["SIZE", "imagenet", "imagenet_nhwc"]

SIZE = (224, 224)
"""(height, width) of what it makes."""

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


def imagenet(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The preparation of most ImageNet models: short side 256, centre 224 x 224, mean and deviation.

    (H, W, 3) uint8 RGB gives x (3, 224, 224) float32 and the picture (224, 224, 3) uint8 RGB. Shrinking averages over
    areas, which avoids aliasing.
    """
    x, seen = imagenet_nhwc(picture)
    return np.ascontiguousarray(x.transpose(2, 0, 1)), seen


def imagenet_nhwc(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same with x (224, 224, 3), for models that take channels last."""
    height, width = picture.shape[:2]
    scale = 256 / min(height, width)
    size = max(256, int(width * scale)), max(256, int(height * scale))  # width first
    resized = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (size[1] - SIZE[0]) // 2, (size[0] - SIZE[1]) // 2
    seen = np.ascontiguousarray(resized[top : top + SIZE[0], left : left + SIZE[1]])
    return (seen.astype(np.float32) / 255 - MEAN) / STD, seen

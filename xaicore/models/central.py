"""The central part of a picture, for models whose library says a size and no more."""

from __future__ import annotations

import numpy as np

from xaicore.opencv import cv2

__all__ = ["central_part"]


def central_part(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The largest central part of these proportions, resized. For plugins.

    Shrinking averages over areas, which avoids aliasing.

    Args:
        picture: (H, W, 3) uint8 RGB.
        size: (height, width) of the result, (height, width, 3) uint8.
    """
    height, width = picture.shape[:2]
    scale = min(height / size[0], width / size[1])  # pixels of the picture per pixel of the result
    part = round(size[0] * scale), round(size[1] * scale)
    top, left = (height - part[0]) // 2, (width - part[1]) // 2
    cut = picture[top : top + part[0], left : left + part[1]]
    found: np.ndarray = cv2.resize(cut, size[::-1], interpolation=cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC)
    return found

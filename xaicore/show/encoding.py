"""Images as PNG files."""

from __future__ import annotations

import numpy as np

from xaicore.opencv import cv2

__all__ = ["png"]

FROM_RGB = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
"""OpenCV's conversions to its own order of channels, by the number of channels."""


def png(image: np.ndarray) -> bytes:
    """Encode a uint8 image: (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA."""
    ordered = image if image.ndim == 2 else cv2.cvtColor(image, FROM_RGB[image.shape[2]])
    _, encoded = cv2.imencode(".png", ordered)
    return encoded.tobytes()

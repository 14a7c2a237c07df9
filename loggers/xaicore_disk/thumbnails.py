"""Small files of large pictures and maps, for the cards of the gallery: 48 images of 1000 x 1000 pixels take 200 MB."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

__all__ = ["SIDE", "shrunk"]

SIDE = 480
"""The shorter side of what a card shows, in pixels: sharp on screens of 2 pixels per CSS pixel."""

LARGE = 800
"""The shorter side from which a picture has a thumbnail: below, it decodes as fast as it is."""


def shrunk(image: np.ndarray, row: dict[str, Any]) -> np.ndarray | None:
    """A thumbnail of a row's picture or map, uint8 (H, W) or (H, W, 3); None where it is small enough as it is.

    Where views lie side by side, each is shrunk to the same whole number of pixels.
    """
    views = len(row["views"] or [0])
    columns = row["columns"] or views
    lines = -(-views // columns)
    size = np.array([image.shape[0] / lines, image.shape[1] / columns])
    if size.min() < LARGE:
        return None
    high, wide = np.rint(size * SIDE / size.min()).astype(int).tolist()
    return cv2.resize(image, (columns * wide, lines * high), interpolation=cv2.INTER_AREA)

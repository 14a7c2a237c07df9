"""A picture's sketch: enough of it to tell whether another picture is the same, in the same frame.

A map lies over the picture that the model saw, which may be a part of the file. The sketch is a fact by which a reader
years later finds out whether a picture is that one, also where a decoder differs by a grey level.
"""

from __future__ import annotations

import numpy as np

from xaicore.opencv import cv2

__all__ = ["is_sketched", "sketch"]

SIDE = 8

TOLERANCE = 3
"""Grey levels by which the means of one picture may differ: decoders and resizing differ by one or two."""


def sketch(picture: np.ndarray) -> bytes:
    """The 8 x 8 grey means of a picture (H, W, 3) uint8 RGB, 64 bytes row by row."""
    grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    means: np.ndarray = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return means.tobytes()


def is_sketched(picture: np.ndarray, known: bytes) -> bool:
    """Whether this is the picture, in the same frame, whose sketch is known."""
    seen, expected = (np.frombuffer(one, np.uint8).astype(int) for one in (sketch(picture), known))
    return bool(np.abs(seen - expected).max() <= TOLERANCE)

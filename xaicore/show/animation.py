"""Frames as an animated file, WebP or GIF.

Pillow encodes both, OpenCV since 4.12 WebP without loss; its GIFs have too few colours for heatmaps.
"""

from __future__ import annotations

import io
from numbers import Real

import numpy as np

from xaicore.errors import DependencyError, InputError
from xaicore.opencv import cv2

__all__ = ["FORMATS", "encode"]

FORMATS = ("webp", "gif")

LOSSLESS = 101
"""OpenCV's quality of a WebP without loss."""


def encode(frames: np.ndarray, format: str = "webp", milliseconds: int = 250) -> bytes:
    """Frames (F, H, W, 3) uint8 RGB, one after the other and again from the start, as the bytes of a file.

    Neighbours that are the same may become one frame of twice the time.

    Args:
        frames: one or more.
        format: "webp", without loss, or "gif", with 256 colours per frame.
        milliseconds: per frame.

    Raises:
        InputError: the format is unknown, or the time not positive.
        DependencyError: no installed library encodes this format.
    """
    if format not in FORMATS:
        raise InputError(f"format={format!r}: expected one of {', '.join(map(repr, FORMATS))}")
    if not (isinstance(milliseconds, Real) and milliseconds >= 1):
        raise InputError(f"milliseconds={milliseconds!r}: expected the time of a frame, 1 or more")
    try:
        from PIL import Image
    except ImportError as exc:
        if format == "webp" and hasattr(cv2, "imencodeanimation"):
            return _by_opencv(frames, int(milliseconds))
        other = "" if format == "webp" else "; format='webp' needs nothing more than OpenCV 4.12"
        raise DependencyError(f"an animated {format} needs Pillow: pip install pillow{other}") from exc
    images = [Image.fromarray(frame) for frame in frames]
    file = io.BytesIO()
    options = {"lossless": True} if format == "webp" else {}
    images[0].save(file, format, save_all=True, append_images=images[1:], duration=int(milliseconds), loop=0, **options)
    return file.getvalue()


def _by_opencv(frames: np.ndarray, milliseconds: int) -> bytes:
    animation = cv2.Animation()
    animation.frames = [np.ascontiguousarray(frame[..., ::-1]) for frame in frames]
    animation.durations = [milliseconds] * len(frames)
    animation.loop_count = 0
    _, encoded = cv2.imencodeanimation(".webp", animation, [cv2.IMWRITE_WEBP_QUALITY, LOSSLESS])
    return encoded.tobytes()

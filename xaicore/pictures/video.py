"""Frames of a video, evenly spaced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xaicore.errors import InputError
from xaicore.opencv import cv2
from xaicore.pictures.files import picture_id
from xaicore.pictures.reading import PictureError, to_rgb

__all__ = ["MOST_FRAMES", "Frame", "frames_of"]

MOST_FRAMES = 16
"""Frames of one video; a shorter one has all of its frames."""


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    Attributes:
        path: the video.
        number: the frame's position, from 0.
        id: the path and the frame's time, such as "clip.mp4 at 3.2 s".
    """

    path: Path
    number: int
    id: str

    def read(self) -> np.ndarray:
        """uint8 RGB (H, W, 3).

        Raises:
            PictureError: the frame cannot be decoded.
        """
        with _opened(self.path) as video:
            video.set(cv2.CAP_PROP_POS_FRAMES, self.number)
            is_read, picture = video.read()
        if not is_read:
            raise PictureError(f"{self.id} cannot be decoded: the video is broken there")
        return to_rgb(picture)


def frames_of(path: Path) -> list[Frame]:
    """The frames in the middle of 16 parts of a video of equal length; all frames of a video with fewer.

    Raises:
        PictureError: the file is no video, or OpenCV has no decoder for it.
    """
    with _opened(path) as video:
        count, rate = int(video.get(cv2.CAP_PROP_FRAME_COUNT)), video.get(cv2.CAP_PROP_FPS)
        if count <= 0:  # the file does not say
            count = sum(1 for _ in iter(video.grab, False))
    if not count:
        raise PictureError(f"{path} has no frame that OpenCV {cv2.__version__} can decode")
    kept = min(count, MOST_FRAMES)
    numbers = [(2 * part + 1) * count // (2 * kept) for part in range(kept)]
    times = zip(numbers, _times(numbers, rate), strict=True)
    return [Frame(path, number, f"{picture_id(path)} at {time}") for number, time in times]


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    if not path.is_file():
        raise InputError(f"no such file: {str(path)!r}")
    video = cv2.VideoCapture(str(path))
    try:
        if not video.isOpened():
            raise PictureError(
                f"{path} is no video that OpenCV {cv2.__version__} can decode, or its codec is missing: turn it into "
                f"pictures, as by `ffmpeg -i {path} frames/%04d.png`, and pass their folder"
            )
        yield video
    finally:
        video.release()


def _times(numbers: list[int], rate: float) -> list[str]:
    """When these frames are shown, in seconds with as few digits as tell them apart; by number without a rate."""
    for digits in (1, 2, 3):
        times = [f"{number / rate:.{digits}f} s" for number in numbers] if rate > 0 else []
        if len(set(times)) == len(numbers):
            return times
    return [f"frame {number}" for number in numbers]

"""Signals as pictures: curves on a dark ground, a lane for each channel; their heat behind them, and in a band below.

The heat is laid over the curves as over any other picture. A dark ground keeps inferno in order: more evidence is
brighter, and no evidence leaves the ground as it is.
"""

from __future__ import annotations

import numpy as np

from xaicore.opencv import cv2

__all__ = ["ALONE", "LANES", "draw", "spread", "width_of"]

LANES = 12
"""The most channels that are drawn, as many as an electrocardiogram has leads; the picture says what is left out."""

BAND, GAP = 28, 6
"""The height of the band below the curves, and its distance to them, in pixels."""

ALONE = 64
"""The height of the heat of a signal without curves."""

NARROWEST, WIDEST = 512, 1024
"""Columns of a picture; samples have a whole number of them each, and share them where there are more samples."""

GROUND, CURVE, RULE, LABEL = (24, 27, 33), (236, 239, 243), (52, 57, 66), (150, 158, 170)


def width_of(length: int) -> int:
    """The width of a picture of this many samples."""
    return WIDEST if length > WIDEST else length * -(-NARROWEST // length)


def draw(signals: np.ndarray) -> np.ndarray:
    """The curves of signals (N, C, T), uint8 RGB (N, H, W, 3).

    The first `LANES` channels have a lane each, from the smallest to the largest value of that channel in that signal.
    The band below is empty: it is for the heat.
    """
    count, channels, length = signals.shape
    lanes = min(channels, LANES)
    lane = max(40, 180 // lanes)
    pictures = np.empty((count, lanes * lane + GAP + BAND, width_of(length), 3), np.uint8)
    pictures[:] = GROUND
    for picture, signal in zip(pictures, signals, strict=True):
        for i, channel in enumerate(signal[:lanes]):
            _curve(picture[i * lane : (i + 1) * lane], channel, str(i) if channels > 1 else "")
        if channels > lanes:
            _text(picture, f"{lanes} of {channels} channels", (picture.shape[1] - 130, 14))
    return pictures


def _curve(lane: np.ndarray, values: np.ndarray, label: str) -> None:
    """Draw one channel into its lane."""
    height, width = lane.shape[:2]
    values = np.nan_to_num(values.astype(np.float64))
    low, high = values.min(), values.max()
    share = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    x = (np.arange(len(values)) + 0.5) * (width / len(values)) - 0.5
    y = 4 + (1 - share) * (height - 9)
    points = np.rint(np.stack([x, y], axis=1) * 16).astype(np.int32)  # in sixteenths of a pixel
    cv2.line(lane, (0, height - 1), (width, height - 1), RULE, 1)
    cv2.polylines(lane, [points], False, CURVE, 1, cv2.LINE_AA, 4)
    if label:
        _text(lane, label, (4, 14))


def _text(picture: np.ndarray, text: str, at: tuple[int, int]) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, LABEL, 1, cv2.LINE_AA)


def spread(heat: np.ndarray, height: int | None = None) -> np.ndarray:
    """The heat of signals (R, T) over their pictures: (R, height, W).

    Behind the curves and in the band, each column has the value of its sample; of several samples, the one with the
    largest magnitude, so that no spike is lost. Between curves and band there is none.

    Args:
        heat: of each sample.
        height: that of the pictures; None where there are no curves, `ALONE`.
    """
    length = heat.shape[1]
    width = width_of(length)
    columns = np.repeat(heat, width // length, axis=1) if length <= width else _strongest(heat, width)
    out = np.repeat(columns[:, None], ALONE if height is None else height, axis=1)
    if height is not None:
        out[:, height - BAND - GAP : height - BAND] = 0
    return out


def _strongest(heat: np.ndarray, width: int) -> np.ndarray:
    """Of the samples that share a column, the one with the largest magnitude."""
    starts = np.arange(width) * heat.shape[1] // width
    high, low = np.maximum.reduceat(heat, starts, axis=1), np.minimum.reduceat(heat, starts, axis=1)
    return np.where(high >= -low, high, low)

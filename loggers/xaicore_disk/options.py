"""The logger's options of drawing and storing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import xaicore

__all__ = ["Options"]

DTYPES = ("float32", "float16")


@dataclass(frozen=True)
class Options(xaicore.Drawing):
    """How maps are drawn, as everywhere, and how they are stored.

    Attributes:
        maps: "float32", or "float16" for half the space. A map whose maximum float16 cannot hold (above 65504,
            or below its smallest normal number) stays float32, so that stored values are within 1/2048 of the
            maximum.
        threshold: the share of the maximum that a box's pixels exceed.

    Raises:
        InputError: a value is unknown or out of range.
    """

    maps: str = "float32"
    threshold: float = 0.2

    def __post_init__(self) -> None:
        if self.maps not in DTYPES:
            raise xaicore.InputError(f"maps={self.maps!r}: expected one of {', '.join(DTYPES)}")
        super().__post_init__()
        self.box(np.zeros((1, 1), np.float32))  # validates the threshold

    def outline_alone(self, line: np.ndarray) -> np.ndarray:
        """A line (H, W) bool, white where it is and transparent elsewhere: (H, W, 4) uint8 RGBA."""
        return np.dstack([np.full((*line.shape, 3), 255, np.uint8), line.astype(np.uint8) * 255])

    def box(self, heatmap: np.ndarray) -> list[int]:
        """The box of a heatmap (H, W): x0, y0, x1, y1 as `Explanation.boxes` has it."""
        return xaicore.localize.boxes(xaicore.localize.masks(heatmap[None], self.threshold))[0].tolist()

    def stored(self, values: np.ndarray) -> np.ndarray:
        """A map in the type in which it is stored."""
        limits = np.finfo(self.maps)
        top = np.abs(values).max()
        fits = top == 0 or limits.tiny <= top <= limits.max
        return values.astype(self.maps if fits else np.float32)

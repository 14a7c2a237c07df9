"""The logger's options of drawing and storing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import xaicore
from xaicore.show import animation
from xaicore_disk import nifti

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
        animation: "webp" or "gif" for an animated overlay of each clip and volume; None for none.
        spacing: writes maps of volumes also as NIfTI, at the volume's resolution: the distances of voxels in
            millimetres, along the axes of the model's input, or the (4, 4) affine of the input; or {id: one of these}.

    Raises:
        InputError: a value is unknown or out of range.
    """

    maps: str = "float32"
    threshold: float = 0.2
    animation: str | None = None
    spacing: nifti.Spacing = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "spacing", nifti.check_spacing(self.spacing))
        if self.animation not in (None, *animation.FORMATS):
            known = ", ".join(map(repr, animation.FORMATS))
            raise xaicore.InputError(f"animation={self.animation!r}: expected one of {known}, or None")
        if self.maps not in DTYPES:
            raise xaicore.InputError(f"maps={self.maps!r}: expected one of {', '.join(DTYPES)}")
        super().__post_init__()
        self.box(np.zeros((1, 1), np.float32))  # validates the threshold

    def check_libraries(self) -> None:
        """Check that the libraries are there that encode these files.

        Raises:
            DependencyError: one is not installed.
        """
        if self.spacing is not None:
            nifti.require_nibabel()
        if self.animation is not None:
            animation.encode(np.zeros((1, 1, 1, 3), np.uint8), self.animation)

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

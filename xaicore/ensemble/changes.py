"""Changed versions of pictures, and the way back for their maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xaicore.evidence import noisy
from xaicore.maps import zoom

__all__ = ["AUGMENTATIONS", "Change"]


@dataclass(frozen=True)
class Change:
    """One changed version of pictures. The default is none: the pictures as they are.

    Attributes:
        flipped: the letter of the axis that is turned over, such as "w".
        scale: by how much the pictures are magnified about their centre, all axes alike. What is above 1 loses the
            margin; what is below 1 repeats it.
        copy, sigma: which noisy copy, and how much noise, as in `xaicore.evidence.noisy`.
    """

    flipped: str | None = None
    scale: float = 1.0
    copy: int | None = None
    sigma: float = 0.0

    def of(self, pictures: np.ndarray, letters: str) -> np.ndarray:
        """The changed version of pictures (N, C, *size), whose axes of positions have these letters."""
        n, channels, *size = pictures.shape
        changed = self._flip(pictures.reshape(n * channels, *size), letters)
        changed = (changed if self.scale == 1 else zoom(changed, self.scale)).reshape(pictures.shape)
        return changed if self.copy is None else noisy(changed, self.copy, self.sigma)

    def back(self, maps: np.ndarray, letters: str) -> tuple[np.ndarray, np.ndarray]:
        """Maps (M, *S) of the changed pictures as maps of the pictures, and where these are known, (*S) bool."""
        known = np.ones(maps.shape[1:], bool)
        if self.scale == 1:
            return self._flip(maps, letters), known
        for axis in range(known.ndim):
            n: int = known.shape[axis]
            at = self.scale * (np.arange(n) + 0.5 - n / 2)
            known &= (np.abs(at) <= n / 2).reshape(-1, *[1] * (known.ndim - 1 - axis))
        return self._flip(zoom(maps, 1 / self.scale), letters), known

    def moved(self, boxes: np.ndarray, size: Sequence[int]) -> np.ndarray:
        """Where boxes (..., 4), x0, y0, x1, y1 in pixels of pictures (H, W), lie in the changed version."""
        moved = boxes.copy()
        for axis, (letter, length) in enumerate(zip("wh", size[::-1], strict=True)):
            ends = moved[..., [axis, axis + 2]]
            ends = length - ends[..., ::-1] if self.flipped == letter else ends
            moved[..., [axis, axis + 2]] = self.scale * (ends - length / 2) + length / 2
        return moved

    def _flip(self, arrays: np.ndarray, letters: str) -> np.ndarray:
        return arrays if self.flipped is None else np.flip(arrays, 1 + letters.index(self.flipped))


AUGMENTATIONS = {
    "hflip": Change(flipped="w"),
    "vflip": Change(flipped="h"),
    "smaller": Change(scale=0.9),
    "larger": Change(scale=1.1),
}
"""{what `augment=` takes: the change}."""

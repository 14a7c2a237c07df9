"""What a library's transform makes of a picture, and the picture as the network sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["NormalisingTransform", "pixels"]


@dataclass(frozen=True)
class NormalisingTransform:
    """A transform that resizes and crops a PIL picture, and ends in (pixels / 255 - mean) / std.

    Args:
        transform: from a PIL picture to a tensor (3, H, W).
        mean, std: one number per channel, or one for all, of values between 0 and 1.
        name: what it is called, for people.
    """

    transform: Callable[[Any], Any]
    mean: Sequence[float]
    std: Sequence[float]
    name: str

    def __call__(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """From (H, W, 3) uint8 RGB to x, (3, h, w) float32, and the picture of it, (h, w, 3) uint8 RGB."""
        from PIL import Image

        x = self.transform(Image.fromarray(picture)).numpy()
        mean, std = (np.reshape(values, (-1, 1, 1)) for values in (self.mean, self.std))
        return x, pixels((x * std + mean) * 255)

    def __str__(self) -> str:
        return self.name


def pixels(values: np.ndarray) -> np.ndarray:
    """Values (3, H, W) from 0 to 255 as a picture (H, W, 3) uint8."""
    return np.ascontiguousarray(np.rint(values).clip(0, 255).astype(np.uint8).transpose(1, 2, 0))

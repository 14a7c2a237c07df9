"""Heatmaps over pictures. All colours are RGB.

Viridis is the default: its lightness increases monotonically, so that brighter always means more evidence, also in
print and for colour-blind readers. Jet and turbo reverse their lightness over half of their range.
"""

from __future__ import annotations

from functools import lru_cache
from numbers import Real

import numpy as np

from xaicore.errors import InputError
from xaicore.opencv import cv2

__all__ = ["blend", "colorize", "colormaps", "outline"]


def colormaps() -> tuple[str, ...]:
    """The names that `colormap=` takes."""
    return tuple(sorted(name[9:].lower() for name in dir(cv2) if name.startswith("COLORMAP_")))


@lru_cache
def _table(colormap: str) -> np.ndarray:
    """(256, 3) uint8 RGB."""
    code = getattr(cv2, f"COLORMAP_{str(colormap).upper()}", None)
    if code is None:
        raise InputError(f"no colour map called {colormap!r}; known: {', '.join(colormaps())}")
    table: np.ndarray = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], code)[:, 0, ::-1].copy()
    table.setflags(write=False)
    return table


def colorize(heatmaps: np.ndarray, colormap: str = "viridis") -> np.ndarray:
    """Heatmaps (..., H, W) in [0, 1] as uint8 RGB (..., H, W, 3).

    Raises:
        InputError: the colour map is unknown.
    """
    return _table(colormap)[np.rint(heatmaps * 255).astype(np.uint8)]


def blend(images: np.ndarray, heatmaps: np.ndarray, colormap: str = "viridis", alpha: float = 0.5) -> np.ndarray:
    """Pictures (M, H, W, 3) uint8 RGB under heatmaps (M, H, W) in [0, 1]: uint8 RGB (M, H, W, 3).

    The opacity of a pixel is `alpha` times its heatmap value, so that the picture is unchanged where there is no
    evidence. Colours are not rescaled.

    Raises:
        InputError: the shapes do not match, alpha is not in [0, 1], or the colour map is unknown.
    """
    if images.shape != (*heatmaps.shape, 3):
        raise InputError(
            f"images {images.shape} and heatmaps {heatmaps.shape} differ: expected (M, H, W, 3), (M, H, W)"
        )
    if not (isinstance(alpha, Real) and 0 <= alpha <= 1):
        raise InputError(f"alpha={alpha!r}: expected an opacity between 0 and 1")
    table = _table(colormap).astype(np.float32)
    out = np.empty(images.shape, np.uint8)
    for blended, image, heatmap in zip(out, images, heatmaps, strict=True):  # one by one: float copies are large
        opacity = (alpha * heatmap)[..., None]
        color = table[np.rint(heatmap * 255).astype(np.uint8)]
        blended[:] = np.rint(image + opacity * (color - image))
    return out


def outline(
    images: np.ndarray,
    heatmaps: np.ndarray,
    share: float = 0.2,
    color: tuple[int, int, int] = (255, 255, 255),
) -> np.ndarray:
    """The pictures with a line around the pixels with the most evidence, which are `share` of all pixels.

    Pixels without evidence are never inside, so that the area may be smaller than `share`.

    Raises:
        InputError: the share is not in (0, 1].
    """
    if not (isinstance(share, Real) and 0 < share <= 1):
        raise InputError(f"outline={share!r}: expected a share of the pixels, 0 < outline <= 1")
    out: np.ndarray = np.ascontiguousarray(images).copy()
    for image, heatmap in zip(out, heatmaps, strict=True):
        inside = (heatmap >= np.quantile(heatmap, 1 - share)) & (heatmap > 0)
        contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        thickness = max(1, round(min(heatmap.shape) / 150))
        cv2.drawContours(image, contours, -1, color, thickness)
    return out

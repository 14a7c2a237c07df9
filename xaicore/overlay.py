"""Heatmaps over pictures. All colours are RGB.

The default is inferno, with an opacity of 0.7 times the evidence. `benchmarks/look.py` lays maps of Grad-CAM and
LayerCAM over 40 pictures (grass, foliage, sky, night, white ground, print, tissue, a head phantom, faces) to look at,
and measures, on average: how far the overlay is from its picture (CIEDE2000) where evidence exceeds half of its
maximum, in all pictures, in green ones, and as deuteranopes see them (simulated after Machado et al. 2009); and how
much more lightness (L*) it adds where evidence peaks than where it is faint.

    colour map      opacity   change   green   deuteranopia   peak
    inferno             0.7       24      23             20     30
    inferno             0.5       19      17             15     21
    magma               0.7       23      24             16     29
    plasma              0.7       23      22             18     28
    viridis             0.7       27      21             16     25
    viridis             0.5       21      17             11     18
    turbo               0.7       26      24             23     -8
    cividis             0.7       16      14             15     25

Of the colour maps whose lightness is monotonic, so that brighter always means more evidence, also in print, inferno is
the one whose peak stands out most, and that colour-blind readers see best. Viridis looks like the grass and foliage
below it, cividis is pale, turbo darkens its peak. At 0.5 the evidence is lost in busy pictures; at 0.8 it hides what it
lies on. Steeper curves of opacity, such as the square root, veil the whole picture.

Signed heatmaps, in [-1, 1], have a diverging colour map: zero is neutral, and both ends darken alike, so that darker
always means more evidence, for the target in one hue and against it in the other.

    blue-red            0.7       20      22             15     -8
    purple-orange       0.7       21      19             21     -2

Orange is lost on fur, wood and skin, where red is not; deuteranopes see "purple-orange" better.
"""

from __future__ import annotations

from functools import lru_cache
from numbers import Real

import numpy as np

from xaicore.errors import InputError
from xaicore.opencv import cv2

__all__ = ["ALPHA", "COLORMAP", "blend", "colorize", "colormaps", "diverging", "outline"]

COLORMAP, ALPHA = "inferno", 0.7
"""The default look."""

DIVERGING = {
    "blue-red": "2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b",
    "purple-orange": "6a51a3 8073ac b2abd2 d8daeb f7f7f7 fee0b6 fdb863 e08214 b35806",
}
"""{name: colours of -1, -0.75, ... 1}, from evidence against the target to evidence for it.

After ColorBrewer's RdBu and PuOr (Harrower & Brewer 2003), which readers of every kind of colour vision tell apart.
Both ends are about equally dark.
"""

ZERO = 128
"""The place of zero in a diverging table: -1 is at 1, and 1 at 255."""


@lru_cache
def colormaps() -> tuple[str, ...]:
    """The names that `colormap=` takes."""
    return tuple(sorted(name[9:].lower() for name in dir(cv2) if name.startswith("COLORMAP_")))


def diverging() -> tuple[str, ...]:
    """The names of colour maps for signed heatmaps."""
    return tuple(DIVERGING)


@lru_cache
def _table(colormap: str) -> np.ndarray:
    """(256, 3) uint8 RGB."""
    if colormap in DIVERGING:
        stops = np.array([list(bytes.fromhex(color)) for color in DIVERGING[colormap].split()])
        places = ZERO + (255 - ZERO) * np.linspace(-1, 1, len(stops))
        columns = [np.interp(np.arange(256), places, stops[:, i]) for i in range(3)]
        return _frozen(np.rint(np.stack(columns, axis=1)).astype(np.uint8))
    code = getattr(cv2, f"COLORMAP_{str(colormap).upper()}", None)
    if code is None:
        known = ", ".join((*colormaps(), *diverging()))
        raise InputError(f"no colour map called {colormap!r}; known: {known}")
    return _frozen(cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], code)[:, 0, ::-1].copy())


def _frozen(table: np.ndarray) -> np.ndarray:
    table.setflags(write=False)
    return table


def _levels(heatmaps: np.ndarray, colormap: str) -> np.ndarray:
    """The places of heatmaps in the colour map's table, uint8."""
    scaled = ZERO + heatmaps * (255 - ZERO) if colormap in DIVERGING else heatmaps * 255
    levels: np.ndarray = np.rint(scaled).astype(np.uint8)
    return levels


def colorize(heatmaps: np.ndarray, colormap: str = COLORMAP) -> np.ndarray:
    """Heatmaps (..., H, W) in [0, 1] as uint8 RGB (..., H, W, 3); in [-1, 1] where the colour map is diverging.

    Raises:
        InputError: the colour map is unknown.
    """
    table = _table(colormap)
    return table[_levels(heatmaps, colormap)]


def blend(images: np.ndarray, heatmaps: np.ndarray, colormap: str = COLORMAP, alpha: float = ALPHA) -> np.ndarray:
    """Pictures (M, H, W, 3) uint8 RGB under heatmaps (M, H, W) in [0, 1]: uint8 RGB (M, H, W, 3).

    The opacity of a pixel is `alpha` times the magnitude of its heatmap value, so that the picture is unchanged where
    there is no evidence. Colours are not rescaled. With a diverging colour map, heatmaps are in [-1, 1].

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
        opacity = (alpha * np.abs(heatmap))[..., None]
        color = table[_levels(heatmap, colormap)]
        blended[:] = np.rint(image + opacity * (color - image))
    return out


def outline(
    images: np.ndarray,
    heatmaps: np.ndarray,
    share: float = 0.2,
    color: tuple[int, int, int] = (255, 255, 255),
    level: float | None = None,
) -> np.ndarray:
    """The pictures with a line around the pixels with the most evidence, which are `share` of all pixels.

    Pixels without evidence for the target are never inside, so that the area may be smaller than `share`.

    Args:
        images: (M, H, W, 3) uint8 RGB.
        heatmaps: (M, H, W).
        share: of the pixels of each heatmap.
        color: of the line, RGB.
        level: the smallest value inside, for heatmaps that are parts of a larger one; None: by the share.

    Raises:
        InputError: the share is not in (0, 1].
    """
    if not (isinstance(share, Real) and 0 < share <= 1):
        raise InputError(f"outline={share!r}: expected a share of the pixels, 0 < outline <= 1")
    out: np.ndarray = np.ascontiguousarray(images).copy()
    for image, heatmap in zip(out, heatmaps, strict=True):
        inside = (heatmap >= (np.quantile(heatmap, 1 - share) if level is None else level)) & (heatmap > 0)
        contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        thickness = max(1, round(min(heatmap.shape) / 150))
        cv2.drawContours(image, contours, -1, color, thickness)
    return out

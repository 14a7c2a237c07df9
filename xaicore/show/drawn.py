"""Maps over their pictures: heatmaps, overlays, masks and boxes, of all rows or of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xaicore import localize, overlay
from xaicore.errors import InputError
from xaicore.show import tiles
from xaicore.show.animation import encode
from xaicore.show.drawing import Drawing
from xaicore.show.drawn_row import DrawnRow

__all__ = ["DrawnMaps"]


class DrawnMaps(DrawnRow):
    """The drawing methods of `Explanation`: of all rows here, of one row in `DrawnRow`."""

    def heatmaps(self, size: Sequence[int] | None = None, normalize: str | None = None) -> np.ndarray:
        """The maps at the pictures' resolution, (M, H, W) float32 in [0, 1]; several views, (M, views, H, W).

        They are resized first, then normalised, so that the maximum is exactly 1; a map without evidence is zeros. If
        there are `ceilings`, "max" and "robust" divide by them and clip values above 1. Signed maps are in [-1, 1]:
        they are divided by a magnitude, and zero stays zero. Those of volumes are (M, D, H, W), of signals (M, T).

        Args:
            size: (height, width); None: that of the user's pictures, else `input_size`.
            normalize: "max"; "robust", by the 99th percentile of the magnitudes; "minmax"; or "none" for the method's
                own scale, which is not limited to 1. None: see `scaling`.

        Raises:
            InputError: the size does not fit the maps, or `normalize` is unknown, or moves the zero of signed maps.
        """
        return self._heatmaps(slice(None), size, normalize or self.scaling)

    def overlays(
        self,
        colormap: str = overlay.COLORMAP,
        alpha: float = overlay.ALPHA,
        outline: float | None = None,
        diverging: str = "blue-red",
        axis: int = 0,
        slices: int | None = None,
        boxes: bool = True,
    ) -> np.ndarray:
        """Heatmaps over their pictures, (M, H, W, 3) uint8 RGB; each volume is a montage of slices.

        Args:
            colormap: "inferno", "viridis", "magma", "cividis", ... (`xaicore.overlay.colormaps()`).
            alpha: the opacity at the maximum; elsewhere it shrinks with the evidence.
            outline: a share of the pixels, such as 0.2: draw a line around those with the most evidence.
            diverging: the colour map of signed maps, "blue-red" or "purple-orange", evidence against the target first.
            axis, slices: of volumes, as in `Drawing`.
            boxes: draw the box of each target that has one.

        Raises:
            InputError: there are no pictures, or an argument is out of range.
        """
        self._images()
        drawing = Drawing(colormap, alpha, outline, diverging, axis, slices, boxes)
        return np.stack([self.overlay(m, drawing) for m in range(len(self.maps))])

    def slices(self, m: int, axis: int = 0, drawing: Drawing | None = None) -> dict[str, np.ndarray]:
        """All slices of a volume along an axis, as images, uint8 RGB (S, H, W, 3): the keys of `draw`.

        Slice i is at index i of the input, or of the user's pictures. Several views lie side by side in each slice.

        Args:
            m: a row.
            axis: 0, 1 or 2.
            drawing: how; its own `axis` and `slices` do not count.

        Raises:
            InputError: the maps are not of volumes, or there is no such axis.
        """
        if self.form != "volume":
            raise InputError(
                f"slices of maps {self.maps.shape[1:]} over an input {self.input_size}: expected volumes, with three "
                "positions each. draw(m) draws signals and pictures"
            )
        drawing = drawing or Drawing()
        whole = replace(drawing, axis=axis, slices=max(self._size()))
        return {
            kind: np.stack([tiles.montage(one, self.views) for one in array.reshape(-1, self.views, *array.shape[1:])])
            for kind, array in self._drawn_tiles(m, whole).items()
        }

    def animation(
        self,
        m: int,
        kind: str = "overlay",
        format: str = "webp",
        milliseconds: int = 250,
        drawing: Drawing | None = None,
    ) -> bytes:
        """The frames of a clip or the slices of a volume one after the other, as the bytes of an animated file.

        Args:
            m: a row.
            kind: "overlay", "picture" or "heatmap".
            format: "webp", without loss, or "gif".
            milliseconds: per frame.
            drawing: how, and which slices.

        Raises:
            InputError: the row has no frames or slices that follow each other, or no such image.
            DependencyError: no installed library encodes this format.
        """
        drawing = drawing or Drawing()
        parts = self.tiling(drawing).parts
        if not self.drawable or parts < 2:
            raise InputError(
                f"animation of maps {self.maps.shape[1:]}: expected a volume, or frames that follow each other, as "
                "Explainer(input_axes='ntchw') says of views"
            )
        drawn = self._drawn_tiles(m, drawing)
        if kind not in drawn:
            raise InputError(f"kind={kind!r}: expected one of {', '.join(map(repr, drawn))}")
        tiled = drawn[kind].reshape(parts, -1, *drawn[kind].shape[1:])
        return encode(np.stack([tiles.montage(one, len(one)) for one in tiled]), format, milliseconds)

    def masks(self, threshold: float = 0.2) -> np.ndarray:
        """Where a heatmap exceeds `threshold` of its maximum, bool (M, H, W); not where evidence is against the target.

        Raises:
            InputError: the threshold is not in [0, 1).
        """
        return localize.masks(self.heatmaps(), threshold)

    def boxes(self, threshold: float = 0.2, components: int | None = None) -> np.ndarray:
        """The box of the largest component of each mask: int64 (M, 4), x0, y0, x1, y1 in pixels, end exclusive.

        As in CAM's localisation (Zhou et al. 2016), which uses 20 %. A map without evidence for the target
        has the box 0, 0, 0, 0.

        Args:
            threshold: a share of the maximum.
            components: the boxes of this many components instead, for several instances: int64 (M, components, 4), the
                largest component first. Where a mask has fewer, the rest are 0, 0, 0, 0.

        Raises:
            InputError: the threshold is not in [0, 1), `components` is no number from 1, or the maps are not
                two-dimensional.
        """
        return localize.boxes(self.masks(threshold), components)

    def points(self) -> np.ndarray:
        """The pixel with the most evidence for the target in each map: int64 (M, 2), x and y.

        Of several equal ones, the middle of their largest component, see `xaicore.localize.points`. A map without
        evidence for the target has the point -1, -1.

        Raises:
            InputError: the maps are not two-dimensional.
        """
        return localize.points(self.heatmaps(normalize="none"))  # other scales clip, and would make maxima equal

    def all_boxes(self, threshold: float = 0.2) -> list[np.ndarray]:
        """The boxes of all components of each mask, for evidence in several places: M arrays int64 (B, 4).

        The largest component comes first, so that row 0 is the box of `boxes`. A map without evidence for the target
        has none.

        Raises:
            InputError: the threshold is not in [0, 1), or the maps are not two-dimensional.
        """
        return localize.all_boxes(self.masks(threshold))

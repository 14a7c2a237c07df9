"""Maps over their pictures: heatmaps, overlays, masks and boxes, of all rows or of one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xaicore import localize, maps
from xaicore.errors import InputError
from xaicore.show.drawing import Drawing
from xaicore.show.pictures import Pictures

__all__ = ["DrawnMaps"]


class DrawnMaps:
    """The drawing methods of `Explanation`, which has these attributes."""

    maps: np.ndarray
    image_index: np.ndarray
    input_size: tuple[int, ...]
    pictures: Pictures
    ceilings: np.ndarray | None
    views: int
    signed: bool
    of_pixels: bool

    @property
    def images(self) -> np.ndarray | None:
        """The pictures (N, H, W, 3) uint8 RGB, in the frame that the model sees; None if there are none.

        Where the caller gave none, they are made of the input on first use: as it is when it is uint8, lies in [0, 1],
        or holds pixels of 0 to 255, else rescaled by the batch's minimum and maximum. Several views of an image lie
        side by side, (N, H, views * W, 3).
        """
        return self.pictures.array

    @property
    def images_from(self) -> str | None:
        """Where `images` come from: "user", "input" or "rescaled"; None where there are none."""
        return self.pictures.source

    @property
    def drawable(self) -> bool:
        """Whether the maps have two spatial axes; signals and volumes cannot be drawn."""
        return self.maps.ndim == (3 if self.views == 1 else 4)

    @property
    def scaling(self) -> str:
        """How heatmaps are normalised unless the caller says so: "max", or "robust" for maps of single pixels.

        A few pixels have most of the evidence of such a map: by its maximum, all others would be invisible.
        """
        return "robust" if self.of_pixels else "max"

    def heatmaps(self, size: Sequence[int] | None = None, normalize: str | None = None) -> np.ndarray:
        """The maps at the pictures' resolution, (M, H, W) float32 in [0, 1]; several views, (M, views, H, W).

        They are resized first, then normalised, so that the maximum is exactly 1; a map without evidence is zeros. If
        there are `ceilings`, "max" and "robust" divide by them and clip values above 1. Signed maps are in [-1, 1]:
        they are divided by a magnitude, and zero stays zero.

        Args:
            size: (height, width); None: that of the user's pictures, else `input_size`.
            normalize: "max"; "robust", by the 99th percentile of the magnitudes; "minmax"; or "none" for the method's
                own scale, which is not limited to 1. None: see `scaling`.

        Raises:
            InputError: the size does not fit the maps, or `normalize` is unknown, or moves the zero of signed maps.
        """
        return self._heatmaps(slice(None), size, normalize or self.scaling)

    def _heatmaps(self, rows: slice | list[int], size: Sequence[int] | None, normalize: str) -> np.ndarray:
        if self.signed and normalize == "minmax":
            raise InputError(
                "normalize='minmax' moves the zero of signed maps, where evidence for and against the target meet: use "
                "'max' or 'none'"
            )
        if size is None:
            # Made pictures have the input's size, so there is no need to make them for this.
            given = self.pictures.given
            size = self.input_size if given is None else self._size_of(given)
        ceilings = None if self.ceilings is None else self.ceilings[rows]
        chosen = self.maps[rows]
        views = chosen if self.views == 1 else chosen.reshape(-1, *chosen.shape[2:])
        resized = maps.resize(views, size)
        resized = resized if self.views == 1 else resized.reshape(*chosen.shape[:2], *resized.shape[1:])
        return maps.normalize(resized, normalize, ceilings)

    def _size_of(self, images: np.ndarray) -> tuple[int, int]:
        """(H, W) of one view in pictures (N, H, views * W, 3)."""
        height, width = images.shape[1:3]
        return height, width // self.views

    def _side_by_side(self, heatmaps: np.ndarray) -> np.ndarray:
        """Heatmaps (M, views, H, W) as (M, H, views * W)."""
        return heatmaps if self.views == 1 else np.concatenate(list(heatmaps.swapaxes(0, 1)), axis=-1)

    def overlays(
        self,
        colormap: str = "viridis",
        alpha: float = 0.5,
        outline: float | None = None,
        diverging: str = "blue-red",
    ) -> np.ndarray:
        """Heatmaps over their pictures, (M, H, W, 3) uint8 RGB.

        Args:
            colormap: "viridis", "inferno", "magma", "cividis", ... (`xaicore.overlay.colormaps()`).
            alpha: the opacity at the maximum; elsewhere it shrinks with the evidence.
            outline: a share of the pixels, such as 0.2: draw a line around those with the most evidence.
            diverging: the colour map of signed maps, "blue-red" or "purple-orange", evidence against the target first.

        Raises:
            InputError: there are no pictures, or an argument is out of range.
        """
        images = self._images()
        heatmaps = self._side_by_side(self.heatmaps(self._size_of(images)))
        drawing = Drawing(colormap, alpha, outline, diverging)
        return drawing.overlay(images[self.image_index], heatmaps, self.signed)

    def _images(self) -> np.ndarray:
        if self.images is None:
            raise InputError(
                f"no pictures to lay the heatmaps over: the input (spatial shape {self.input_size}) is not one or "
                "three channels of a picture; pass images=, uint8 (N, H, W, 3)"
            )
        return self.images

    # The same for one row: a thousand targets of large pictures, drawn at once, would be gigabytes.

    def picture(self, m: int) -> np.ndarray | None:
        """The picture of row m, (H, W, 3) uint8 RGB; None if there is none."""
        return None if self.images is None else self.images[self.image_index[m]]

    def heatmap(self, m: int, normalize: str | None = None) -> np.ndarray:
        """Row m of `heatmaps(None, normalize)`, (H, W); several views lie side by side, (H, views * W).

        Raises:
            InputError: `normalize` is unknown, or the maps do not have the input's axes.
        """
        return self._side_by_side(self._heatmaps([m], None, normalize or self.scaling))[0]

    def overlay(self, m: int, drawing: Drawing | None = None) -> np.ndarray:
        """Row m of `overlays`, (H, W, 3) uint8 RGB.

        Raises:
            InputError: there are no pictures.
        """
        picture = self._images()[self.image_index[m]]
        return (drawing or Drawing()).overlay(picture[None], self.heatmap(m)[None], self.signed)[0]

    def draw(self, m: int, drawing: Drawing | None = None) -> dict[str, np.ndarray]:
        """Row m as images, uint8 RGB (H, W, 3): "picture" and "overlay", where there is a picture, and "heatmap".

        Empty if the maps cannot be drawn, see `drawable`.
        """
        if not self.drawable:
            return {}
        drawing, picture, heatmap = drawing or Drawing(), self.picture(m), self.heatmap(m)
        colored = {"heatmap": drawing.colorize(heatmap, self.signed)}
        if picture is None:
            return colored
        over = drawing.overlay(picture[None], heatmap[None], self.signed)[0]
        return {"picture": picture, "overlay": over, **colored}

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

"""One row's map over its picture. A thousand targets of large pictures, drawn at once, would be gigabytes.

A row is drawn in tiles: one for a picture, one per view where an image has several, one per slice of a volume. A signal
is a picture of its curve. The tiles lie in a grid, the same for picture, overlay and heatmap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xaicore import maps, overlay
from xaicore.errors import InputError
from xaicore.show import curves, tiles
from xaicore.show.drawing import Drawing
from xaicore.show.pictures import Pictures

__all__ = ["DrawnRow"]

FORMS = {1: "signal", 2: "picture", 3: "volume"}
"""What a map lies over, by the number of its positions' axes."""


class DrawnRow:
    """The drawing methods of one row of an `Explanation`, which has these attributes."""

    maps: np.ndarray
    image_index: np.ndarray
    input_size: tuple[int, ...]
    pictures: Pictures
    ceilings: np.ndarray | None
    views: int
    view_names: tuple[str, ...]
    frames: int
    signed: bool
    of_pixels: bool
    positions: str

    @property
    def images(self) -> np.ndarray | None:
        """The pictures (N, H, W, 3) uint8 RGB, in the frame that the model sees; None if there are none.

        Where the caller gave none, they are made of the input on first use: as it is when it is uint8, lies in [0, 1],
        or holds pixels of 0 to 255, else rescaled by the batch's minimum and maximum. Several views of an image lie
        side by side, (N, H, views * W, 3). Volumes are (N, D, H, W, 3), with several views (N, views, D, H, W, 3). The
        picture of a signal is its curve.
        """
        return self.pictures.array

    @property
    def images_from(self) -> str | None:
        """Where `images` come from: "user", "input" or "rescaled", or "curve" of signals; None where there are none."""
        return self.pictures.source

    @property
    def form(self) -> str | None:
        """What the maps lie over: a "signal", a "picture" or a "volume", by their axes; None for anything else."""
        axes = self.maps.ndim - (1 if self.views == 1 else 2)
        return FORMS.get(axes) if axes == 2 or axes == len(self.input_size) else None

    @property
    def drawable(self) -> bool:
        """Whether `draw` gives images: the maps are of signals, pictures or volumes."""
        return self.form is not None

    @property
    def scaling(self) -> str:
        """How heatmaps are normalised unless the caller says so: "max", or "robust" for maps of single pixels.

        A few pixels have most of the evidence of such a map: by its maximum, all others would be invisible.
        """
        return "robust" if self.of_pixels else "max"

    def tiling(self, drawing: Drawing | None = None) -> tiles.Tiling:
        """How the tiles of a row lie in its images: their names, such as "slice 4", and how many there are per line."""
        drawing = drawing or Drawing()
        names = self.view_names or tuple(f"view {v}" for v in range(self.views))
        names = names if self.views > 1 else ()
        if self.form == "volume":
            return tiles.slices_of(self._size(), drawing.axis, drawing.slices, self.positions, names)
        return tiles.one_line(names, self.frames)

    def _views_of(self, m: int, drawing: Drawing | None = None) -> dict[str, Any]:
        """The keys of `Explanation.row` that say how the tiles of row m lie in its images."""
        tiling = self.tiling(drawing)
        if not tiling.names:
            return dict.fromkeys(("views", "frames", "view_maxima", "columns", "part"))
        heat = self.maps[m][None] if self.views == 1 else self.maps[m]
        if self.form == "volume":  # resized along the axis of the slices alone: their maxima hardly differ
            assert tiling.axis is not None
            length = self._size()[tiling.axis]
            size = [length if i == tiling.axis else n for i, n in enumerate(heat.shape[1:])]
            heat = tiling.cut(maps.resize(heat, size))
        maxima = np.abs(heat).reshape(len(tiling.names), -1).max(axis=1).tolist()
        frames = tiling.parts if tiling.parts > 1 else None
        known = {"columns": tiling.columns, "part": tiling.part if frames else None}
        return {"views": list(tiling.names), "frames": frames, "view_maxima": maxima, **known}

    def picture(self, m: int, drawing: Drawing | None = None) -> np.ndarray | None:
        """The picture of row m, (H, W, 3) uint8 RGB; None if there is none. Of a volume, a montage of its slices."""
        pictures = None if self.images is None else self._picture_tiles(m, self.tiling(drawing))
        return None if pictures is None else tiles.montage(pictures, self.tiling(drawing).columns)

    def heatmap(self, m: int, normalize: str | None = None, drawing: Drawing | None = None) -> np.ndarray:
        """Row m of `heatmaps(None, normalize)` in the grid of its picture, (H, W).

        Several views lie side by side, (H, views * W); slices of a volume form a montage; the samples of a signal are
        columns of the picture of its curve.

        Raises:
            InputError: `normalize` is unknown, or the maps do not have the input's axes.
        """
        tiling = self.tiling(drawing)
        return tiles.montage(self._heat_tiles(m, tiling, normalize or self.scaling)[0], tiling.columns)

    def values(self, m: int, normalize: str | None = None) -> np.ndarray:
        """Row m of `heatmaps(None, normalize)` with the axes of the input: (H, W), (D, H, W), (T,), or (views, ...)."""
        values: np.ndarray = self._heatmaps([m], None, normalize or self.scaling)[0]
        return values

    def peak(self, m: int) -> float:
        """The value of row m's map, at the picture's resolution, that is 1 in its heatmap if there are no ceilings."""
        return float(maps.tops(self._heatmaps([m], None, "none"), self.scaling)[0])

    def overlay(self, m: int, drawing: Drawing | None = None) -> np.ndarray:
        """Row m of `overlays`, (H, W, 3) uint8 RGB.

        Raises:
            InputError: there are no pictures.
        """
        drawing = drawing or Drawing()
        tiling = self.tiling(drawing)
        pictures = self._picture_tiles(m, tiling)
        heat, level = self._heat_tiles(m, tiling, self.scaling, drawing.outline)
        return tiles.montage(drawing.overlay(pictures, heat, self.signed, level), tiling.columns)

    def outline(self, m: int, drawing: Drawing) -> np.ndarray:
        """Where the line of `drawing.outline` is in row m's images, bool (H, W); nowhere if there is none."""
        tiling = self.tiling(drawing)
        heat, level = self._heat_tiles(m, tiling, self.scaling, drawing.outline)
        lines = np.zeros((*heat.shape, 3), np.uint8)
        if drawing.outline is not None:
            lines = overlay.outline(lines, heat, drawing.outline, level=level)
        return tiles.montage(lines[..., 0] > 0, tiling.columns)

    def draw(self, m: int, drawing: Drawing | None = None) -> dict[str, np.ndarray]:
        """Row m as images, uint8 RGB (H, W, 3): "picture" and "overlay", where there is a picture, and "heatmap".

        Volumes are montages of slices, signals are curves; `row(m, drawing)` says what lies where. Empty if the maps
        cannot be drawn, see `drawable`.
        """
        if not self.drawable:
            return {}
        columns = self.tiling(drawing).columns
        return {kind: tiles.montage(one, columns) for kind, one in self._drawn_tiles(m, drawing or Drawing()).items()}

    def _drawn_tiles(self, m: int, drawing: Drawing) -> dict[str, np.ndarray]:
        """The tiles of `draw`, each (S, H, W, 3)."""
        tiling = self.tiling(drawing)
        heat, level = self._heat_tiles(m, tiling, self.scaling, drawing.outline)
        colored = {"heatmap": drawing.colorize(heat, self.signed)}
        if self.images is None:
            return colored
        pictures = self._picture_tiles(m, tiling)
        return {"picture": pictures, "overlay": drawing.overlay(pictures, heat, self.signed, level), **colored}

    def _heat_tiles(
        self, m: int, tiling: tiles.Tiling, normalize: str, share: float | None = None
    ) -> tuple[np.ndarray, float | None]:
        """Row m's heatmap as tiles (S, H, W), and the value that this share of its pixels, in all tiles, exceeds."""
        heat = self._heatmaps([m], None, normalize)[0]
        level = None if share is None else float(np.quantile(heat, 1 - share))
        heat = heat[None] if self.views == 1 else heat
        if self.form == "volume":
            return tiling.cut(heat), level
        if self.form == "signal":
            return curves.spread(heat, None if self.images is None else self.images.shape[1]), level
        return heat, level

    def _picture_tiles(self, m: int, tiling: tiles.Tiling) -> np.ndarray:
        """The pictures under these tiles, (S, H, W, 3)."""
        picture = self._images()[self.image_index[m]]
        if self.form == "volume":
            return tiling.cut(picture[None] if self.views == 1 else picture)
        return tiles.cut(picture, self.views, self.views)

    def _heatmaps(self, rows: slice | list[int], size: Sequence[int] | None, normalize: str) -> np.ndarray:
        if self.signed and normalize == "minmax":
            raise InputError(
                "normalize='minmax' moves the zero of signed maps, where evidence for and against the target meet: use "
                "'max' or 'none'"
            )
        size = self._size() if size is None else size
        ceilings = None if self.ceilings is None else self.ceilings[rows]
        chosen = self.maps[rows]
        views = chosen if self.views == 1 else chosen.reshape(-1, *chosen.shape[2:])
        resized = maps.resize(views, size)
        resized = resized if self.views == 1 else resized.reshape(*chosen.shape[:2], *resized.shape[1:])
        return maps.normalize(resized, normalize, ceilings)

    def _size(self) -> tuple[int, ...]:
        """The size of one view of the pictures; made ones have the input's, so there is no need to make them."""
        given = self.pictures.given
        if given is None or self.form == "signal":
            return self.input_size
        if self.form == "volume":
            return given.shape[-4:-1]
        return given.shape[1], given.shape[2] // self.views

    def _images(self) -> np.ndarray:
        if self.images is None:
            shape = "(N, D, H, W, 3)" if self.form == "volume" else "(N, H, W, 3)"
            raise InputError(
                f"no pictures to lay the heatmaps over: the input (spatial shape {self.input_size}) is not one or "
                f"three channels of a picture; pass images=, uint8 {shape}"
            )
        return self.images

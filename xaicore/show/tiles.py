"""Tiles in a grid: the views of an image, the slices of a volume, the frames of a video as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["PIXELS", "Tiling", "cut", "montage", "one_line", "slices_of"]

PIXELS = 2**22
"""The most pixels of a montage, unless the caller says how many slices: 64 slices of 256 x 256."""

LINE = 2**14
"""The longest line of frames in pixels, which all browsers and formats take."""


@dataclass(frozen=True)
class Tiling:
    """How the maps of a row lie beside and below each other. All tiles have one size.

    Attributes:
        names: of the tiles, left to right and top to bottom, such as "slice 4"; empty where there is one.
        columns: tiles per line.
        parts: how many parts follow each other, such as slices; 1 where nothing says that they do. Tile i is of part
            i // (tiles // parts).
        part: what such a part is called, "slice" or "frame"; None where there is one.
        axis: the axis of a volume that the slices are cut along, and
        indices: their positions there; None, empty for others.
    """

    names: tuple[str, ...] = ()
    columns: int = 1
    parts: int = 1
    part: str | None = None
    axis: int | None = None
    indices: tuple[int, ...] = field(default=(), repr=False)

    def cut(self, volumes: np.ndarray) -> np.ndarray:
        """The slices of views (V, *size, ...) of a volume: (S * V, H, W, ...), all views of a slice together."""
        assert self.axis is not None
        chosen = np.moveaxis(volumes.take(self.indices, axis=1 + self.axis), 1 + self.axis, 0)
        return chosen.reshape(-1, *chosen.shape[2:])


def one_line(view_names: Sequence[str], frames: int = 1) -> Tiling:
    """The tiling of pictures with these views, side by side; `frames` of them follow each other."""
    return Tiling(tuple(view_names), max(1, len(view_names)), frames, "frame" if frames > 1 else None)


def slices_of(
    size: Sequence[int],
    axis: int = 0,
    most: int | None = None,
    letters: str = "",
    view_names: Sequence[str] = (),
) -> Tiling:
    """The tiling of a volume's slices.

    Frames lie in one line, if that is no longer than `LINE` pixels; slices in about as many lines as columns.

    Args:
        size: of the volume, (D, H, W).
        axis: along which it is cut.
        most: this many slices, evenly spaced, the first and the last one included; None: all, if the montage has
            `PIXELS` pixels at most, else as many as fit.
        letters: a letter per axis; "t" is time, so that slices along it are frames.
        view_names: of the views of an image, which lie side by side in each slice.
    """
    height, width = (n for i, n in enumerate(size) if i != axis)
    views = max(1, len(view_names))
    fitting = max(1, PIXELS // (height * width * views)) if most is None else most
    indices = tuple(np.rint(np.linspace(0, size[axis] - 1, min(fitting, size[axis]))).astype(int).tolist())
    part = "frame" if letters[axis : axis + 1] == "t" else "slice"
    names = tuple(", ".join(filter(None, (f"{part} {i}", view))) for i in indices for view in view_names or ("",))
    in_line = part == "frame" and len(names) * width <= LINE
    columns = len(indices) if in_line else -(-int(np.ceil(np.sqrt(len(names) * height / width))) // views)
    return Tiling(names, min(max(1, columns), len(indices)) * views, len(indices), part, axis, indices)


def montage(tiles: np.ndarray, columns: int) -> np.ndarray:
    """Tiles (S, H, W, ...) as one picture (lines * H, columns * W, ...); what is left of the last line is zeros."""
    count, height, width, *rest = tiles.shape
    lines = -(-count // columns)
    whole = tiles
    if lines * columns > count:
        whole = np.zeros((lines * columns, height, width, *rest), tiles.dtype)
        whole[:count] = tiles
    grid = whole.reshape(lines, columns, height, width, *rest).swapaxes(1, 2)
    return grid.reshape(lines * height, columns * width, *rest)


def cut(image: np.ndarray, count: int, columns: int) -> np.ndarray:
    """The tiles (count, H, W, ...) of a picture: the inverse of `montage`."""
    lines = -(-count // columns)
    height, width = image.shape[0] // lines, image.shape[1] // columns
    grid = image[: lines * height, : columns * width].reshape(lines, height, columns, width, *image.shape[2:])
    return grid.swapaxes(1, 2).reshape(-1, height, width, *image.shape[2:])[:count]

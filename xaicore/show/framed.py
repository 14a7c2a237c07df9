"""The boxes of targets, such as a detector's, as lines in pictures and overlays."""

from __future__ import annotations

import numpy as np

from xaicore.show.drawing import Drawing
from xaicore.show.drawn import DrawnMaps

__all__ = ["FramedMaps", "framed"]

BRIGHT, DARK = 255, 0


def framed(picture: np.ndarray, box: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """A picture (H, W, 3) uint8 with a box: a bright line inside of a dark one, of which one is seen on any picture.

    What lies outside of the picture is drawn along its edge.

    Args:
        picture: it is not written to.
        box: x0, y0, x1, y1 in pixels of a picture of this size; NaN for no box.
        size: (H, W).
    """
    if np.isnan(box).any() or len(size) != 2:
        return picture
    out: np.ndarray = np.array(picture)
    height, width = picture.shape[:2]
    line = max(1, round(min(height, width) / 150))
    scale = np.array([width / size[1], height / size[0]] * 2)
    x0, y0, x1, y1 = np.rint(box * scale).astype(int)
    # The bright line lies inside of this place and the dark one around it; both stay in the picture.
    (x0, x1), (y0, y1) = _within(x0, x1, width, line), _within(y0, y1, height, line)
    inside = np.zeros((height, width), bool)
    inside[y0:y1, x0:x1] = True
    inside[y0 + line : y1 - line, x0 + line : x1 - line] = False
    around = np.zeros((height, width), bool)
    around[y0 - line : y1 + line, x0 - line : x1 + line] = True
    around[y0:y1, x0:x1] = False
    out[inside], out[around] = BRIGHT, DARK
    return out


def _within(start: int, end: int, length: int, line: int) -> tuple[int, int]:
    """The ends of a box along an axis, so that lines inside and outside of it lie in the picture."""
    start = max(line, min(start, length - 2 * line))
    return start, max(start + line, min(end, length - line))


class FramedMaps(DrawnMaps):
    """The drawing methods of `Explanation`, which has this attribute, too; with the boxes of its targets."""

    target_boxes: np.ndarray | None

    def overlay(self, m: int, drawing: Drawing | None = None) -> np.ndarray:
        """Row m of `overlays`, (H, W, 3) uint8 RGB.

        Raises:
            InputError: there are no pictures.
        """
        over = super().overlay(m, drawing)
        return self._framed(m, over) if (drawing or Drawing()).boxes else over

    def draw(self, m: int, drawing: Drawing | None = None) -> dict[str, np.ndarray]:
        """Row m as images, uint8 RGB (H, W, 3): "picture" and "overlay", where there is a picture, and "heatmap".

        The box of a target that has one is drawn in the first two. Empty if the maps cannot be drawn, see `drawable`.
        """
        drawn = super().draw(m, drawing)
        if not (drawing or Drawing()).boxes:
            return drawn
        return {kind: one if kind == "heatmap" else self._framed(m, one) for kind, one in drawn.items()}

    def _framed(self, m: int, picture: np.ndarray) -> np.ndarray:
        """A picture with the box of row m; without it for several views, and for slices, which have no one box."""
        if self.target_boxes is None or self.views > 1 or self.form != "picture":
            return picture
        return framed(picture, self.target_boxes[m], self.input_size)

"""Pictures of maps with their boxes: those of the map in cyan, the true ones in white, the maximum as a dot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

__all__ = ["tile", "write"]

SCALE, GAP, COLUMNS = 1.1, 5, 3
CYAN, WHITE, BLACK = (0, 210, 240), (255, 255, 255), (0, 0, 0)


def tile(overlay: np.ndarray, boxes: np.ndarray, true: np.ndarray, point: np.ndarray, title: str) -> np.ndarray:
    """One overlay (H, W, 3) uint8 RGB, larger, with boxes (B, 4) and (T, 4), a point (2,) and a title."""
    drawn = cv2.resize(overlay, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_LINEAR)
    for box in true:
        _rectangle(drawn, box, BLACK, 3)
        _rectangle(drawn, box, WHITE, 1)
    for box in boxes[boxes[:, 2] > boxes[:, 0]]:
        _rectangle(drawn, box, CYAN, 2)
    if point[0] >= 0:
        x, y = ((point + 0.5) * SCALE).round().astype(int).tolist()
        cv2.circle(drawn, (x, y), 5, WHITE, -1, cv2.LINE_AA)
        cv2.circle(drawn, (x, y), 4, CYAN, -1, cv2.LINE_AA)
    for color, width in ((BLACK, 3), (WHITE, 1)):
        place = (6, drawn.shape[0] - 8)
        cv2.putText(drawn, title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, color, width, cv2.LINE_AA)
    return drawn


def write(path: Path, tiles: Sequence[np.ndarray]) -> None:
    """Write a JPEG of tiles of one size, three in a line.

    Raises:
        OSError: the file cannot be written.
    """
    height, width = (side + GAP for side in tiles[0].shape[:2])
    lines = -(-len(tiles) // COLUMNS)
    sheet = np.full((lines * height - GAP, COLUMNS * width - GAP, 3), 255, np.uint8)
    for n, one in enumerate(tiles):
        y, x = n // COLUMNS * height, n % COLUMNS * width
        sheet[y : y + one.shape[0], x : x + one.shape[1]] = one
    if not cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82]):
        raise OSError(f"{path} could not be written")


def _rectangle(drawn: np.ndarray, box: np.ndarray, color: tuple[int, int, int], width: int) -> None:
    """Around the pixels of a box, whose end is exclusive."""
    x0, y0, x1, y1 = (np.asarray(box) * SCALE).round().astype(int).tolist()
    cv2.rectangle(drawn, (x0, y0), (x1 - 1, y1 - 1), color, width)

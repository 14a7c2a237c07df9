"""A contact sheet of heatmaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

__all__ = ["write_sheet"]

WIDTH, TITLE, GAP = 224, 22, 6
"""The width of a picture, the height of a line of text, the space between cells, in pixels."""

COLUMNS = 3


def write_sheet(
    path: Path, picture: np.ndarray, rows: Mapping[str, Sequence[np.ndarray]], words: Sequence[str]
) -> None:
    """Write a JPEG with a cell for each method: its overlays side by side, its name above.

    Args:
        path: where to write.
        picture: (H, W, 3) uint8 RGB, which has the first cell.
        rows: {method: overlays (H, W, 3) uint8 RGB, one for each class}.
        words: what the overlays of a cell are, in order.
    """
    cells = [_cell("the picture", [picture] * len(words), words)]
    cells += [_cell(name, overlays, words) for name, overlays in rows.items()]
    blank = np.full_like(cells[0], 255)
    cells += [blank] * (-len(cells) % COLUMNS)
    lines = [np.concatenate(cells[i : i + COLUMNS], axis=1) for i in range(0, len(cells), COLUMNS)]
    sheet = cv2.cvtColor(np.concatenate(lines), cv2.COLOR_RGB2BGR)
    if not cv2.imwrite(str(path), sheet, [cv2.IMWRITE_JPEG_QUALITY, 82]):
        raise OSError(f"{path} could not be written")


def _cell(name: str, pictures: Sequence[np.ndarray], words: Sequence[str]) -> np.ndarray:
    tiles = []
    for word, picture in zip(words, pictures, strict=True):
        height = round(WIDTH * picture.shape[0] / picture.shape[1])
        tile = cv2.resize(picture, (WIDTH, height), interpolation=cv2.INTER_AREA)
        cv2.putText(tile, word, (5, height - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 2, cv2.LINE_AA)
        cv2.putText(tile, word, (5, height - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
        tiles.append(tile)
    body = np.concatenate(tiles, axis=1)
    title = np.full((TITLE, body.shape[1], 3), 255, np.uint8)
    cv2.putText(title, name, (2, TITLE - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.46, (30, 30, 30), 1, cv2.LINE_AA)
    cell = np.concatenate([title, body])
    return cv2.copyMakeBorder(cell, GAP, GAP, GAP, GAP, cv2.BORDER_CONSTANT, value=(255, 255, 255))

"""The method that hides random parts of the picture."""

from __future__ import annotations

import numpy as np

from xaicore.evidence import Evidence, is_unchanged
from xaicore.maps import resize
from xaicore.methods.ranges import check_above, check_count

__all__ = ["rise"]

TOGETHER = 64
"""Masks that are added up at once."""


def rise(evidence: Evidence, *, masks: int = 4000, grid: int = 7, p: float = 0.5, seed: int = 0) -> np.ndarray:
    """RISE (Petsiuk et al. 2018): sum_i f(x M_i) M_i / (p masks), at the resolution of the picture, (N, K, *size).

    f is the score: a class's probability. M_i is a grid of grid x grid cells, each 1 with the probability p, upsampled
    bilinearly to cells that cover the picture and one more, and cut out at a random offset within a cell. The masks are
    the same for all images, and in every call with the same seed. One pass per mask; no layer is needed.
    """
    sample = _Masks(evidence.pictures.shape[2:], masks, grid, p, seed)
    x = evidence.pictures
    scores = evidence.scores(masks, lambda n, rows: x[n] * sample(rows)[:, None], as_confidence=True)
    scores *= ~is_unchanged(scores, evidence.own_scores(as_confidence=True))[:, None]
    by_row = scores.swapaxes(1, 2).reshape(-1, masks)  # (N * K, masks)
    total = np.zeros((len(by_row), int(np.prod(sample.size))))
    for start in range(0, masks, TOGETHER):
        rows = slice(start, min(start + TOGETHER, masks))
        total += by_row[:, rows] @ sample(rows).reshape(rows.stop - rows.start, -1)
    return (total / (p * masks)).reshape(*scores.shape[::2], *sample.size)


class _Masks:
    """Random masks, of which only the coarse grids are kept.

    Args:
        size: of a picture, of any number of axes.
        count, grid, p, seed: as in `rise`.

    Raises:
        MethodError: an option is out of range.
    """

    def __init__(self, size: tuple[int, ...], count: int, grid: int, p: float, seed: int) -> None:
        check_count(count, "masks")
        check_count(grid, "grid")
        check_above(p, "p", 1)
        self.size = size
        self._cell = tuple(-(-length // grid) for length in size)
        rng = np.random.default_rng(seed)
        self._grids = rng.random((count, *[grid] * len(size))) < p
        self._offsets = rng.integers(0, self._cell, (count, len(size)))
        self._covered = tuple((grid + 1) * length for length in self._cell)

    def __call__(self, rows: slice) -> np.ndarray:
        """Some of the masks, (rows, *size) float32 from 0 to 1."""
        large = resize(self._grids[rows].astype(np.float32), self._covered)
        windows = [
            one[tuple(slice(at, at + length) for at, length in zip(offset, self.size, strict=True))]
            for one, offset in zip(large, self._offsets[rows], strict=True)
        ]
        return np.stack(windows)

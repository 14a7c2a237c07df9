"""What is checked of the first layer that reads a picture: what it takes, and where in the picture that lies."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xaicore.facts import InputFacts
from xaicore.testing.checks import deviate, same

__all__ = ["check_reader"]


def check_reader(
    what: str, seen: InputFacts, picture: np.ndarray, taken: np.ndarray, part: tuple[slice, slice]
) -> None:
    """The facts of a picture (N, C, H, W), of which its reader takes `taken`, made of these rows and columns.

    No two lengths of a picture are the same, so that lengths tell the axes.
    """
    same(f"lengths of what {what} takes", sorted(seen.reader_shape or ())[1:], sorted(taken.shape[1:]))
    same(f"runs of {what}", len(seen.reader_runs), 1)
    (is_itself,) = seen.reader_runs
    if is_itself and taken is not picture:
        deviate(f"whether {what} takes the very picture", "False: it takes what is made of it", is_itself)
    if is_itself:
        same(f"the layer whose output {what} takes", seen.reader_source, None)
    moves = [one for one in seen.reader_moves if one is not None]
    same(f"places that {what} tells", len(moves) <= (not is_itself), True)
    ranges = {
        seen.shape.index(length): range(length)[rows]
        for length, rows in zip(picture.shape[2:], part, strict=True)
        if length in seen.shape[1:]
    }
    for axis, ends in (moves[0] if moves else {}).items():
        _check_moves(axis, ends, seen.shape[axis], ranges[axis])
    for span in (one for one in seen.reader_spans if one is not None):
        whole = {axis: (0, seen.shape[axis] - 1) for axis in span}
        expected = whole | {axis: (rows[0], rows[-1]) for axis, rows in ranges.items() if axis in span}
        same(f"the part of the picture that {what} reads", {axis: tuple(one) for axis, one in span.items()}, expected)
    for of_taken in (one for one in seen.reader_parts if one is not None):
        expected = {axis: (0, (seen.reader_shape or ())[axis] - 1) for axis in of_taken}
        same(f"the part of what {what} takes that is of the picture", dict(of_taken), expected)


def _check_moves(axis: int, ends: Mapping[int, tuple[float, float]], length: int, rows: range) -> None:
    """Slices of what is taken come from their own places in the picture."""
    for came, at in zip(ends[axis], (len(rows) // 4, len(rows) - 1 - len(rows) // 4), strict=True):
        if not rows[at] / length - 1e-6 <= came <= (rows[at] + 1) / length + 1e-6:
            deviate(f"where slice {at} of axis {axis} comes from", f"{rows[at] / length:.3f} or so", came)

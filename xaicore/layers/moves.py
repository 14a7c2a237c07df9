"""How a model changes its input before the first convolution: it may transpose, flip, crop, pad, mix or divide it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from xaicore.facts import InputFacts, Moves
from xaicore.layers.grid import POSITIONS

__all__ = ["changes_of", "follows_input", "frames_of", "moved_axes", "new_of_each"]

CLEAR = 0.2
"""The least distance, as a fraction of the input, between the places that two slices half a picture apart come from."""

SHIFT = 0.02
"""The largest shift of a slice, as a fraction of the input, that is no change: a few rows of padding."""


def moved_axes(facts: InputFacts) -> str | None:
    """A letter per axis of the input, "?" for those that are no positions of the reader; None where that is not clear.

    A model that transposes its pictures reads the height along the input's last axis.
    """
    moves = next((run for run in facts.reader_moves if run is not None), None)
    letters = POSITIONS.get(len(moves or ()))
    if moves is None or letters is None or _is_padded(moves):
        return None
    found: dict[int, str] = {}
    for letter, of_axis in zip(letters, (moves[axis] for axis in sorted(moves)), strict=True):
        source = _source(of_axis)
        if source is None or source in found:
            return None
        found[source] = letter
    return "n" + "".join(found.get(axis, "?") for axis in range(1, len(facts.shape)))


def changes_of(facts: InputFacts) -> tuple[str | None, ...]:
    """Per run of the reader: "flips it", "crops or pads it", "mixes or rearranges the positions of it", or None."""
    return tuple(None if moves is None else _change(moves, facts) for moves in facts.reader_moves)


def follows_input(facts: InputFacts) -> bool:
    """Whether an axis of what the reader takes is seen to run along an axis of the input."""
    runs = (run for run in facts.reader_moves if run is not None)
    return any(_source(of_axis) is not None for run in runs for of_axis in run.values())


def frames_of(facts: InputFacts) -> tuple[int, tuple[int, ...]] | None:
    """The axis of the input whose frames the reader takes one by one, and the frame of each run.

    A recurrent net reads the frames before as well: the frame of a run is the one that no run before it has read. None
    where the runs do not differ in exactly one frame of one axis.
    """
    spans = [span for span in facts.reader_spans if span is not None]
    if len(spans) < 2 or len(spans) < len(facts.reader_spans):
        return None
    axes = [axis for axis in spans[0] if len({span[axis] for span in spans}) > 1]
    if len(axes) != 1:
        return None
    frames = new_of_each(range(first, last + 1) for first, last in (span[axes[0]] for span in spans))
    return None if frames is None else (axes[0], frames)


def new_of_each(runs: Iterable[Iterable[int]]) -> tuple[int, ...] | None:
    """For each of several runs, the one frame that no run before it has read; None where a run has none or several."""
    known: set[int] = set()
    found = []
    for run in runs:
        new = set(run) - known
        if len(new) != 1:
            return None
        found.append(new.pop())
        known.update(found)
    return tuple(found)


def _is_padded(moves: Moves) -> bool:
    return any(math.isnan(at) for of_axis in moves.values() for ends in of_axis.values() for at in ends)


def _source(of_axis: Mapping[int, tuple[float, float]]) -> int | None:
    """The axis of the input along which an axis of the reader moves."""
    distances = {axis: abs(end - start) for axis, (start, end) in of_axis.items()}
    source = max(distances, key=distances.__getitem__, default=None)
    return None if source is None or distances[source] < CLEAR else source


def _change(moves: Moves, facts: InputFacts) -> str | None:
    assert facts.reader_shape is not None
    if _is_padded(moves):
        return "crops or pads it"
    sources = [_source(of_axis) for of_axis in moves.values()]
    lost = [axis for axis, source in zip(moves, sources, strict=True) if source is None]
    if any(facts.reader_shape[axis] > 1 for axis in lost) and len(facts.reader_shape) == len(facts.shape):
        return "mixes or rearranges the positions of it"
    if None in sources or len(set(sources)) < len(sources):  # a reshaped input has all positions on one axis
        return None
    shifts = []
    for (axis, of_axis), source in zip(moves.items(), sources, strict=True):
        assert source is not None
        start, end = of_axis[source]
        if end < start:
            return "flips it"
        taken, given = facts.reader_shape[axis], facts.shape[source]
        expected = (taken // 4 + 0.5) / taken
        tolerance = max(SHIFT, 0.5 / taken + 0.5 / given)  # resizing rounds to rows
        shifts.append(max(abs(start - expected), abs(end - (1 - expected))) > tolerance)
    return "crops or pads it" if any(shifts) else None

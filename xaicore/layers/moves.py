"""How a model changes its input before the first convolution: it may transpose, flip, crop, pad, mix or divide it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from xaicore.facts import Facts, InputFacts, Moves, Span
from xaicore.layers.grid import POSITIONS

__all__ = [
    "PADDED",
    "REORDERED",
    "changes_of",
    "find_moves",
    "find_span",
    "follows_input",
    "frames_of",
    "has_rows",
    "moved_axes",
    "new_of_each",
    "with_moves_of",
]

CLEAR = 0.02
"""The least distance, as a fraction of the input, between the places that two slices half a picture apart come from."""

BORDER = 2
"""The largest shift outwards in rows: a convolution without padding may follow a border of four rows, which it takes
off again."""

DOMINANT = 4
"""How many times as far these places must lie apart as along any other axis of the input."""

SHIFT = 0.02
"""The largest shift of a slice, as a fraction of the input, that is no change: a few rows of padding."""


PADDED = "crops or pads it"

REORDERED = "takes its frames or views in another order, or those of several images in turn,"
"""A change after which no map belongs to the picture of its row."""


def find_moves(
    shape: Sequence[int], axes: Iterable[int], pull: Callable[[np.ndarray], np.ndarray | None]
) -> Moves | None:
    """For `InputFacts.reader_moves`: from where in an input the slices of a tensor come, by their gradients.

    Args:
        shape: of the tensor, which a layer takes.
        axes: of the tensor whose slices are followed.
        pull: takes weights of this shape to the gradient, at the input, of the sum of weights * tensor; None where the
            framework has none.

    Returns None, too, where no gradient arrives at all, as behind a rounding.
    """
    moves: dict[int, dict[int, tuple[float, float]]] = {}
    rng = np.random.default_rng(0)
    for axis in axes:
        length = shape[axis]
        centres: list[list[float]] = []
        for index in (length // 4, length - 1 - length // 4) if axis else (0, 1):
            weights = np.zeros(shape, np.float32)
            chosen = np.moveaxis(weights, axis, 0)[index]
            chosen[...] = 0.9 + 0.2 * rng.random(chosen.shape)  # no two gradients cancel
            gradient = pull(weights)
            if gradient is None:
                return None
            centres.append(list(_centres(np.abs(gradient))))
        moves[axis] = dict(enumerate(zip(*centres, strict=True)))
    places = [place for of_axis in moves.values() for ends in of_axis.values() for place in ends]
    return None if all(map(math.isnan, places)) else moves


def find_span(shape: Sequence[int], pull: Callable[[np.ndarray], np.ndarray | None]) -> Span | None:
    """For `InputFacts.reader_spans`: on which part of an input a tensor depends; None where on nothing.

    Arguments as in `find_moves`.
    """
    gradient = pull((0.9 + 0.2 * np.random.default_rng(0).random(shape)).astype(np.float32))
    if gradient is None or not gradient.any():
        return None
    places = np.nonzero(gradient)
    return {axis: (int(at.min()), int(at.max())) for axis, at in enumerate(places) if axis > 0}


def _centres(strength: np.ndarray) -> Iterator[float]:
    """Along each axis, the middle of where the gradient is strong, as a fraction; NaN where none is.

    The middle of the axis where it is strong here and there, as behind a dense layer, which has no order.
    """
    for axis in range(strength.ndim):
        along = strength.sum(axis=tuple(other for other in range(strength.ndim) if other != axis))
        if not along.any():  # the slice was padded on
            yield math.nan
            continue
        strong = np.flatnonzero(along >= along.max() / 2)
        is_local = axis == 0 or strong[-1] - strong[0] < len(along) / 2
        yield (float(strong.mean()) + 0.5) / len(along) if is_local else 0.5


def moved_axes(facts: InputFacts) -> str | None:
    """A letter per axis of the input, "?" for those that are no positions of the reader; None where that is not clear.

    A model that transposes its pictures reads the height along the input's last axis.
    """
    moves = next((run for run in facts.reader_moves if run is not None), None)
    axes = [axis for axis in sorted(moves or ()) if axis]
    letters = POSITIONS.get(len(axes))
    if moves is None or letters is None or _is_padded(moves):
        return None
    found: dict[int, str] = {}
    for letter, of_axis in zip(letters, (moves[axis] for axis in axes), strict=True):
        source = _source(of_axis)
        if source is None or source in found:
            return None
        found[source] = letter
    return "n" + "".join(found.get(axis, "?") for axis in range(1, len(facts.shape)))


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


def changes_of(facts: InputFacts, frames: int = 1) -> tuple[str | None, ...]:
    """Per run of the reader: "flips it", "crops or pads it", "mixes or rearranges the positions of it", `REORDERED`, or
    None where none of these is seen. `frames` is the axis of the input's frames, if it has any.
    """
    return tuple(None if moves is None else _change(moves, facts, frames) for moves in facts.reader_moves)


def _is_padded(moves: Moves) -> bool:
    return any(math.isnan(at) for axis, of_axis in moves.items() if axis for ends in of_axis.values() for at in ends)


def _source(of_axis: Mapping[int, tuple[float, float]]) -> int | None:
    """The axis of the input along which an axis of the reader moves."""
    distances = {axis: abs(end - start) for axis, (start, end) in of_axis.items()}
    far = sorted(distances, key=distances.__getitem__, reverse=True)
    if not far or distances[far[0]] < CLEAR:
        return None
    is_dominant = all(distances[far[0]] >= DOMINANT * distances[other] for other in far[1:2])
    return far[0] if is_dominant else None


def _change(moves: Moves, facts: InputFacts, frames: int) -> str | None:
    assert facts.reader_shape is not None
    if _is_padded(moves):
        return PADDED
    if 0 in moves and not _are_in_order(moves[0], facts, frames):
        return REORDERED
    positions = {axis: of_axis for axis, of_axis in moves.items() if axis}
    sources = [_source(of_axis) for of_axis in positions.values()]
    lost = [axis for axis, source in zip(positions, sources, strict=True) if source is None]
    if any(facts.reader_shape[axis] > 1 for axis in lost) and len(facts.reader_shape) == len(facts.shape):
        return "mixes or rearranges the positions of it"
    if None in sources or len(set(sources)) < len(sources):  # a reshaped input has all positions on one axis
        return None
    for (axis, of_axis), source in zip(positions.items(), sources, strict=True):
        assert source is not None
        start, end = of_axis[source]
        if end < start:
            return "flips it"
        taken, given = facts.reader_shape[axis], facts.shape[source]
        expected = (taken // 4 + 0.5) / taken
        tolerance = max(SHIFT, 0.5 / taken + 0.5 / given)  # resizing rounds to rows
        inwards = max(start - expected, 1 - expected - end)
        outwards = max(expected - start, end - 1 + expected)
        if inwards > tolerance or outwards > max(tolerance, BORDER / given):
            return PADDED
    return None


def _are_in_order(of_rows: Mapping[int, tuple[float, float]], facts: InputFacts, axis: int) -> bool:
    """Whether the rows that the reader takes are the frames of the first image, then those of the second."""
    assert facts.reader_shape is not None
    frames, images = facts.shape[axis], facts.moved_images or facts.shape[0]
    if len(facts.shape) < 3 or facts.reader_shape[0] != facts.shape[0] * frames:
        return True  # no frames
    return all(
        abs(image * images - 0.5) < 0.25 and abs(frame * frames - 0.5 - row) < 0.25
        for row, (image, frame) in enumerate(zip(of_rows[0], of_rows[axis], strict=True))
    )


def has_rows(facts: Facts) -> bool:
    """Whether a reader takes several rows per image, whose order a pass over two images shows."""
    return any(one.reader_shape is not None and one.reader_shape[0] > facts.count == 1 for one in facts.inputs)


def with_moves_of(facts: Facts, two: Facts) -> Facts:
    """The facts, with the moves that a pass over two images showed."""
    inputs = (
        replace(one, reader_moves=other.reader_moves, moved_images=two.count)
        for one, other in zip(facts.inputs, two.inputs, strict=True)
    )
    return replace(facts, inputs=tuple(inputs))

"""Pictures that a model resizes and pads at their end, as detectors do for sizes that its layers can halve."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np

from xaicore.facts import InputFacts, Span

__all__ = ["find_part", "padding_at_end"]


def find_part(
    shape: Sequence[int], pull: Callable[[np.ndarray], np.ndarray | None], axes: Iterable[int] | None = None
) -> Span | None:
    """For `InputFacts.reader_parts` and `LayerFacts.parts`: which part of a tensor depends on an input.

    None where nothing does.

    Args:
        shape: of the tensor; images are on axis 0.
        pull: as in `find_moves`.
        axes: along which the part is looked for; None: all but that of the images.
    """
    weights = (0.9 + 0.2 * np.random.default_rng(0).random(shape)).astype(np.float32)

    def depends(axis: int, start: int, stop: int) -> bool:
        some = np.zeros(shape, np.float32)
        where = (slice(None),) * axis + (slice(start, stop),)
        some[where] = weights[where]
        gradient = pull(some)
        return gradient is not None and bool(gradient.any())

    if not depends(0, 0, shape[0]):
        return None
    chosen = range(1, len(shape)) if axes is None else axes
    return {axis: _ends(shape[axis], partial(depends, axis)) for axis in chosen}


def _ends(length: int, depends: Callable[[int, int], bool]) -> tuple[int, int]:
    """The first and the last of some indices of which `depends(start, stop)` holds."""
    before = _largest(length, lambda n: not depends(0, n))
    behind = _largest(length, lambda n: not depends(length - n, length))
    return before, length - 1 - behind


def padding_at_end(facts: InputFacts, axes: str) -> tuple[int, ...] | None:
    """How much longer a picture is with the padding that the model puts at its end, per position, in its own pixels.

    None where the reader's argument is not the whole picture, resized, with padding behind it: its part that depends on
    the input begins at 0, and the slices that were followed lie at their places in it.

    Args:
        facts: of the input.
        axes: a letter per axis of the input, in which the positions come in the order of the reader's.
    """
    if len(facts.reader_moves) != 1 or len(facts.reader_parts) != 1 or facts.reader_shape is None:
        return None
    moves, part, span = facts.reader_moves[0], facts.reader_parts[0], facts.reader_spans[0]
    if moves is None or part is None or span is None:
        return None
    taken = [axis for axis in range(1, len(facts.reader_shape)) if axis != facts.reader_axis]
    given = sorted((axis for axis, letter in enumerate(axes) if letter not in "nc"), key=axes.__getitem__)
    if len(taken) != len(given) or "r" in axes or facts.reader_shape[0] != facts.shape[0]:
        return None
    padding = []
    for axis, source in zip(taken, given, strict=True):
        length, picture = facts.reader_shape[axis], facts.shape[source]
        first, last = part[axis]
        is_whole = span[source][0] <= 1 and span[source][1] >= picture - 2
        if first or not is_whole or not _lie_in(moves[axis][source], length, last + 1, picture):
            return None
        padding.append(round(picture * length / (last + 1)) - picture)
    return tuple(padding)


def _lie_in(places: tuple[float, float], length: int, part: int, picture: int) -> bool:
    """Whether the two slices that were followed come from where a picture lies that is resized to this part."""
    tolerance = 1 / part + 1 / picture  # resizing rounds to pixels
    for index, place in zip((length // 4, length - 1 - length // 4), places, strict=True):
        if math.isnan(place) != (index >= part):
            return False
        if index < part and abs(place - (index + 0.5) / part) > tolerance:
            return False
    return True


def _largest(most: int, holds: Callable[[int], bool]) -> int:
    """The largest n up to `most` for which it holds, as for all smaller ones; it holds for 0."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low

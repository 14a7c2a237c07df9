"""Pictures that a model resizes and pads at their end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from xaicore.facts import InputFacts
from xaicore.layers import find_moves, find_part, find_span
from xaicore.layers.inputs import Frame, read_input
from xaicore.layers.padding import padding_at_end


def resized(length: int, part: int, whole: int, before: int = 0) -> np.ndarray:
    """(whole, length): the nearest pixel of a picture for each of `part`, with padding around them."""
    matrix = np.zeros((whole, length))
    for i in range(part):
        matrix[before + i, int((i + 0.5) * length / part)] = 1
    return matrix


def facts(rows: np.ndarray, columns: np.ndarray, channels: int = 3) -> InputFacts:
    """Of an input (1, C, H, W) whose rows and columns are mixed like this before the first convolution."""
    shape, given = (1, channels, len(rows), len(columns)), (1, channels, rows.shape[1], columns.shape[1])

    def pull(weights: np.ndarray) -> np.ndarray:
        return rows.T @ weights @ columns

    moves, span, part = find_moves(shape, [2, 3], pull), find_span(shape, pull), find_part(shape, pull)
    return InputFacts(given, shape, 1, (False,), (moves,), None, (span,), "conv", reader_parts=(part,))


@pytest.mark.parametrize(
    ("rows", "columns", "padding"),
    [
        (resized(90, 128, 128), resized(120, 170, 192), (0, 16)),
        (resized(90, 128, 160), resized(120, 170, 170), (22, 0)),
        (resized(64, 48, 64), resized(64, 40, 64), (21, 38)),  # the slices at three quarters are padding
        (resized(64, 64, 96), resized(80, 80, 96), (32, 16)),
    ],
    ids=["right", "bottom", "much of both", "not resized"],
)
def test_padding_is_measured_in_pixels_of_the_picture(rows, columns, padding):
    seen = facts(rows, columns)
    frame = read_input(seen)
    assert frame is not None
    assert frame.padding == padding
    assert frame.changes == ()
    assert frame.size == (rows.shape[1] + padding[0], columns.shape[1] + padding[1])


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (resized(90, 128, 160, 16), resized(120, 170, 170)),  # on both sides
        (resized(90, 90, 96), np.pad(resized(90, 120, 120)[:96], ((0, 24), (0, 0)))),  # cropped, then padded
        (resized(90, 128, 160)[::-1].copy(), resized(120, 170, 192)),  # flipped
    ],
    ids=["letterbox", "cropped", "flipped"],
)
def test_other_changes_are_no_padding_at_the_end(rows, columns):
    frame = read_input(facts(rows, columns))
    assert frame is not None
    assert frame.padding == ()
    assert any(frame.changes)


def test_what_is_not_known_is_no_padding():
    seen = facts(resized(90, 128, 128), resized(120, 170, 192))
    for lacking in ({"reader_parts": ()}, {"reader_parts": (None,)}, {"reader_moves": seen.reader_moves * 2}):
        assert padding_at_end(replace(seen, **lacking), "nchw") is None


def test_pictures_with_padding_and_back():
    frame = Frame("nhwc", (4, 7), padding=(1, 2))
    x = np.arange(2 * 3 * 5 * 3, dtype=np.float32).reshape(2, 3, 5, 3)
    pictures = frame.arrange(x)
    assert pictures.shape == (2, 3, 4, 7)
    np.testing.assert_array_equal(pictures[:, :, :3, :5], x.transpose(0, 3, 1, 2))
    assert not pictures[:, :, 3].any()
    assert not pictures[:, :, :, 5:].any()
    np.testing.assert_array_equal(frame.restore(pictures, x.shape[1:]), x)

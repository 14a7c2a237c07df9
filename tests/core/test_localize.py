"""Masks and boxes: the threshold, the largest component, its corners."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import xaicore
from xaicore import localize


def picture(*rows: str) -> np.ndarray:
    """A mask (1, H, W) drawn in text, "#" inside."""
    return np.array([[c == "#" for c in row] for row in rows])[None]


def test_masks_are_above_the_threshold_not_at_it() -> None:
    heat = np.array([[[0, 0.5, 0.6, 1]], [[0, 1, 1.5, 2]], [[0, 0, 0, 0]]], np.float32)
    assert localize.masks(heat, 0.5).tolist() == [
        [[False, False, True, True]],
        [[False, False, True, True]],  # of its own maximum
        [[False, False, False, False]],
    ]
    assert localize.masks(heat, 0).tolist()[0] == [[False, True, True, True]]
    assert localize.masks(np.array([[0, 0.19, 0.21, 1]], np.float32)).tolist() == [[False, False, True, True]]


@pytest.mark.parametrize("threshold", [-0.1, 1, 20, float("nan"), "0.2", None])
def test_masks_with_a_wrong_threshold(threshold: Any) -> None:
    with pytest.raises(xaicore.InputError, match=r"threshold=.*: expected a share of the maximum, 0 <= threshold < 1"):
        localize.masks(np.ones((1, 2, 2)), threshold)


def test_a_box_ends_behind_its_last_pixel() -> None:
    mask = picture(
        "......",
        "..##..",
        "..##..",
        "..##..",
    )
    boxes = localize.boxes(mask)
    assert boxes.dtype == np.int64
    assert boxes.tolist() == [[2, 1, 4, 4]]  # x0, y0, x1, y1
    x0, y0, x1, y1 = boxes[0]
    assert mask[0, y0:y1, x0:x1].sum() == mask.sum()


def test_corners_belong_together() -> None:
    assert localize.boxes(picture("#..", ".#.", "..#")).tolist() == [[0, 0, 3, 3]]


def test_the_largest_component_not_the_largest_box() -> None:
    mask = picture(
        "#########",
        ".........",
        ".####....",
        ".####....",
        ".####....",
    )
    assert localize.boxes(mask).tolist() == [[1, 2, 5, 5]]


def test_of_equal_components_the_first_in_reading_order() -> None:
    assert localize.boxes(picture("....#", "#....")).tolist() == [[4, 0, 5, 1]]
    assert localize.boxes(picture(".....", "#...#")).tolist() == [[0, 1, 1, 2]]
    assert localize.boxes(picture("#.##.", "...##", "##...", "##..."))[0].tolist() == [2, 0, 5, 2]


def test_empty_and_full_masks() -> None:
    assert localize.boxes(np.zeros((2, 3, 4), bool)).tolist() == [[0, 0, 0, 0]] * 2
    assert localize.boxes(np.ones((1, 3, 4), bool)).tolist() == [[0, 0, 4, 3]]
    assert localize.boxes(np.zeros((0, 3, 4), bool)).shape == (0, 4)


def test_boxes_of_volumes() -> None:
    with pytest.raises(
        xaicore.InputError, match=r"boxes need two-dimensional masks \(M, H, W\), got shape \(1, 2, 2, 2\)"
    ):
        localize.boxes(np.ones((1, 2, 2, 2), bool))


def literal_box(mask: np.ndarray) -> list[int]:
    """Flood fill, in reading order."""
    left, best = {(int(y), int(x)) for y, x in np.argwhere(mask)}, []
    for start in sorted(left):
        stack, component = [start] if start in left else [], []
        left.discard(start)
        while stack:
            y, x = stack.pop()
            component.append((y, x))
            around = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= around
            stack.extend(around)
        if len(component) > len(best):
            best = component
    if not best:
        return [0, 0, 0, 0]
    ys, xs = zip(*best, strict=True)
    return [min(xs), min(ys), max(xs) + 1, max(ys) + 1]


@settings(max_examples=150)
@given(hnp.arrays(bool, st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 9))))
def test_boxes_by_flood_fill(masks: np.ndarray) -> None:
    assert localize.boxes(masks).tolist() == [literal_box(mask) for mask in masks]


def test_all_boxes_the_largest_component_first() -> None:
    mask = np.zeros((2, 8, 10), bool)
    mask[0, 1:3, 1:3] = True
    mask[0, 4:8, 5:10] = True
    mask[0, 0, 9] = True
    first, empty = localize.all_boxes(mask)
    assert first.tolist() == [[5, 4, 10, 8], [1, 1, 3, 3], [9, 0, 10, 1]]
    assert empty.shape == (0, 4)
    assert localize.boxes(mask).tolist() == [[5, 4, 10, 8], [0, 0, 0, 0]]


@given(st.integers(0, 2**20))
def test_the_first_of_all_boxes_is_the_box(seed: int) -> None:
    masks = np.random.default_rng(seed).random((3, 7, 9)) > 0.6
    boxes, every = localize.boxes(masks), localize.all_boxes(masks)
    for mask, box, others in zip(masks, boxes, every, strict=True):
        assert len(others)
        assert box.tolist() == others[0].tolist()
        covered = np.zeros_like(mask)
        for x0, y0, x1, y1 in others:
            covered[y0:y1, x0:x1] = True
        assert covered[mask].all()


def test_all_boxes_need_two_dimensions() -> None:
    with pytest.raises(xaicore.InputError, match=r"boxes need two-dimensional masks \(M, H, W\), got shape \(2, 5\)"):
        localize.all_boxes(np.zeros((2, 5), bool))

"""Masks, boxes and points: the threshold, the largest component, its corners, the maximum."""

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


# Several components.


def test_the_boxes_of_several_components() -> None:
    mask = np.zeros((2, 8, 10), bool)
    mask[0, 1:3, 1:3] = True
    mask[0, 4:8, 5:10] = True
    mask[0, 0, 9] = True
    assert localize.boxes(mask, 1).tolist() == [[[5, 4, 10, 8]], [[0, 0, 0, 0]]]
    assert localize.boxes(mask, 2).tolist() == [[[5, 4, 10, 8], [1, 1, 3, 3]], [[0, 0, 0, 0]] * 2]
    four = localize.boxes(mask, components=4)
    assert (four.shape, four.dtype) == ((2, 4, 4), np.int64)
    assert four[0].tolist() == [[5, 4, 10, 8], [1, 1, 3, 3], [9, 0, 10, 1], [0, 0, 0, 0]]


@pytest.mark.parametrize("components", [0, -1, 1.5, "2"])
def test_a_wrong_number_of_components(components: Any) -> None:
    with pytest.raises(xaicore.InputError, match=r"components=.*: expected a number of components, 1 or more, or None"):
        localize.boxes(np.ones((1, 2, 2), bool), components)


# Points.


def test_points_are_x_and_y_of_the_maximum() -> None:
    heat = np.zeros((3, 4, 6), np.float32)
    heat[0, 1, 5] = 0.3
    heat[1, 3, 0], heat[1, 0, 2] = 2, 1.9
    found = localize.points(heat)
    assert found.dtype == np.int64
    assert found.tolist() == [[5, 1], [0, 3], [-1, -1]]
    assert localize.points(-np.ones((1, 2, 2))).tolist() == [[-1, -1]]  # evidence against the target alone
    assert localize.points(np.zeros((0, 2, 2))).shape == (0, 2)


@pytest.mark.parametrize(
    ("rows", "point"),
    [
        (("###", "###", "###"), [1, 1]),  # its middle
        (("##", "##"), [0, 0]),  # four pixels are as near to the middle: the first in reading order
        (("#.#", "..#"), [2, 0]),  # of the larger component, not between the two
        (("#..#", "...."), [0, 0]),  # of equal components, the first
        (("#####", "#...#", "#...#", "#...#", "#####"), [2, 0]),  # the middle of a ring is no maximum
        (("####", "#...", "#..."), [1, 0]),  # the centre of gravity is (1, 0.5)
    ],
)
def test_the_point_of_a_plateau(rows: tuple[str, ...], point: list[int]) -> None:
    heat = picture(*rows) * np.float32(0.7)
    assert localize.points(heat).tolist() == [point]


@given(
    hnp.arrays(np.int8, st.tuples(st.integers(1, 3), st.integers(1, 8), st.integers(1, 8)), elements=st.integers(-1, 2))
)
def test_a_point_is_a_maximum(heat: np.ndarray) -> None:
    for (x, y), one in zip(localize.points(heat), heat, strict=True):
        if one.max() <= 0:
            assert (x, y) == (-1, -1)
        else:
            assert one[y, x] == one.max()


@given(hnp.arrays(np.int8, st.tuples(st.just(1), st.integers(1, 8), st.integers(1, 8)), elements=st.integers(0, 3)))
def test_a_single_maximum_is_where_argmax_says(heat: np.ndarray) -> None:
    if (heat == heat.max()).sum() == 1 and heat.max() > 0:
        y, x = np.unravel_index(heat.argmax(), heat.shape[1:])
        assert localize.points(heat).tolist() == [[x, y]]


def test_points_need_two_dimensions() -> None:
    with pytest.raises(
        xaicore.InputError, match=r"points need two-dimensional heatmaps \(M, H, W\), got shape \(2, 5\)"
    ):
        localize.points(np.zeros((2, 5)))


# Overlap.


def test_iou_by_hand() -> None:
    assert localize.iou([0, 0, 4, 4], [2, 2, 6, 6]) == 4 / 28
    assert localize.iou([0, 0, 4, 4], [0, 0, 4, 4]) == 1
    assert localize.iou([0, 0, 4, 4], [4, 0, 8, 4]) == 0  # the end is exclusive: they touch
    assert localize.iou([0, 0, 4, 4], [1, 1, 3, 3]) == 4 / 16
    assert localize.iou([0, 0, 0, 0], [0, 0, 0, 0]) == 0
    a, b = np.array([[0, 0, 2, 2], [1, 0, 3, 2]]), np.array([[0, 0, 2, 1], [0, 0, 3, 2], [5, 5, 6, 6]])
    assert localize.iou(a[:, None], b).tolist() == [[2 / 4, 4 / 6, 0], [1 / 5, 4 / 6, 0]]
    assert localize.iou(a, a).tolist() == [1, 1]


def literal_iou(a: np.ndarray, b: np.ndarray) -> float:
    drawn = np.zeros((2, 9, 9), bool)
    for mask, (x0, y0, x1, y1) in zip(drawn, (a, b), strict=True):
        mask[y0:y1, x0:x1] = True
    union = drawn.any(axis=0).sum()
    return float(drawn.all(axis=0).sum() / union) if union else 0.0


BOX = st.tuples(*[st.integers(0, 8)] * 4).map(
    lambda v: [min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3])]
)


@given(BOX, BOX)
def test_iou_by_counting_pixels(a: list[int], b: list[int]) -> None:
    assert localize.iou(a, b) == literal_iou(np.array(a), np.array(b)) == localize.iou(b, a)


def test_boxes_that_iou_refuses() -> None:
    with pytest.raises(xaicore.InputError, match=r"boxes of shape \(3,\): expected \(\.\.\., 4\), x0, y0, x1, y1"):
        localize.iou([0, 0, 1], [0, 0, 1, 1])
    with pytest.raises(xaicore.InputError, match="the box 4, 0, 2, 1 ends before it begins"):
        localize.iou([0, 0, 1, 1], [[0, 0, 1, 1], [4, 0, 2, 1]])


def test_matching_is_greedy_by_overlap() -> None:
    true = [[0, 0, 10, 10], [20, 0, 30, 10]]
    predicted = [[0, 0, 10, 8], [0, 0, 10, 10], [50, 50, 60, 60], [20, 0, 30, 6]]
    assert localize.match(predicted, true).tolist() == [-1, 0, -1, 1]  # the second fits better, and takes the true box
    assert localize.match(predicted, true, 0.7).tolist() == [-1, 0, -1, -1]
    assert localize.match([[0, 0, 10, 5]], [[0, 0, 10, 10]]).tolist() == [0]  # 0.5 is enough
    assert localize.match([[0, 0, 10, 10]] * 2, true).tolist() == [0, -1]  # of equal pairs, the first
    assert localize.match(np.zeros((0, 4)), true).shape == (0,)
    assert localize.match(true, np.zeros((0, 4))).tolist() == [-1, -1]


@given(st.lists(BOX, max_size=5), st.lists(BOX, max_size=5), st.sampled_from([0.1, 0.5, 1]))
def test_what_matches_overlaps_and_matches_once(predicted: Any, true: Any, least: float) -> None:
    predicted, true = (np.array(boxes).reshape(-1, 4) for boxes in (predicted, true))
    found = localize.match(predicted, true, least)
    pairs = [(p, t) for p, t in enumerate(found) if t >= 0]
    assert all(localize.iou(predicted[p], true[t]) >= least for p, t in pairs)
    assert len({t for _, t in pairs}) == len(pairs)
    left = [(p, t) for p in range(len(predicted)) for t in range(len(true)) if found[p] < 0 and t not in found]
    assert all(localize.iou(predicted[p], true[t]) < least for p, t in left)


@pytest.mark.parametrize("least", [0, 1.1, -1, float("nan"), "0.5", None])
def test_a_wrong_overlap(least: Any) -> None:
    with pytest.raises(xaicore.InputError, match=r"min_iou=.*: expected an overlap, 0 < min_iou <= 1"):
        localize.match(np.zeros((1, 4)), np.zeros((1, 4)), least)

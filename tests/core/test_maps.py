"""Weighted sums, normalising, resizing, fusing: against loops, OpenCV and numbers worked out by hand."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import xaicore
from xaicore import maps

FINITE = st.floats(0, width=32, allow_nan=False, allow_infinity=False)
STACKS = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=4, max_side=5), elements=FINITE)


# Weighted sums.


@pytest.mark.parametrize("spatial", [(7,), (4, 5), (2, 3, 4)])
def test_weighted_sum(spatial: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    weights, activations = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 4, *spatial))
    result = maps.weighted_sum(weights, activations)
    assert result.shape == (2, 3, *spatial)
    for n, k in np.ndindex(2, 3):
        for place in np.ndindex(spatial):
            expected = sum(weights[n, k, c] * activations[(n, c, *place)] for c in range(4))
            assert result[(n, k, *place)] == pytest.approx(expected)


def test_relu() -> None:
    assert maps.relu(np.array([-1.5, 0, 2])).tolist() == [0, 0, 2]


# Normalising.


def test_normalize_by_hand() -> None:
    m = np.array([[[1, 2], [3, 4]], [[0, 0], [0, 0]], [[5, 5], [5, 5]]], np.float32)
    assert maps.normalize(m).tolist() == [[[0.25, 0.5], [0.75, 1]], [[0, 0], [0, 0]], [[1, 1], [1, 1]]]
    third = float(np.float32(1 / 3))
    assert maps.normalize(m, "minmax").tolist() == [
        [[0, third], [float(np.float32(2 / 3)), 1]],
        [[0, 0], [0, 0]],
        [[0, 0], [0, 0]],
    ]
    assert maps.normalize(m, "none") is m
    assert maps.normalize(np.zeros((0, 3, 3), np.float32)).shape == (0, 3, 3)
    with pytest.raises(xaicore.InputError, match=r"normalize='sum' is not known; .*max, robust, minmax, none"):
        maps.normalize(m, "sum")


@given(STACKS)
def test_normalize_max(stack: np.ndarray) -> None:
    """Exactly 1 at the maximum whatever its size, zeros stay zeros, and the order of values is kept."""
    result = maps.normalize(stack)
    assert result.dtype == np.float32
    for before, after in zip(stack, result, strict=True):
        assert after.max() == (1 if before.any() else 0)
        assert after.min() >= 0
        assert (np.diff(after.ravel()[before.ravel().argsort()]) >= 0).all()


@given(STACKS)
def test_normalize_minmax(stack: np.ndarray) -> None:
    result = maps.normalize(stack, "minmax")
    for before, after in zip(stack, result, strict=True):
        assert after.min() == 0
        assert after.max() == (1 if before.max() > before.min() else 0)


@given(STACKS)
def test_one_map_knows_nothing_of_the_others(stack: np.ndarray) -> None:
    assert np.array_equal(maps.normalize(stack)[-1:], maps.normalize(stack[-1:]))


# Resizing.


def literal_resize(m: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """One map (*S): half-pixel centres, linear along each axis, edges repeated."""
    out = np.zeros(size)
    for place in np.ndindex(size):
        corners = []
        for i, n, old in zip(place, size, m.shape, strict=True):
            at = min(max((i + 0.5) * old / n - 0.5, 0), old - 1)
            low = math.floor(at)
            corners.append([(low, 1 - (at - low)), (min(low + 1, old - 1), at - low)])
        for choice in np.ndindex(*[2] * len(size)):
            picked = [corner[c] for corner, c in zip(corners, choice, strict=True)]
            share = math.prod(weight for _, weight in picked)
            out[place] += share * m[tuple(index for index, _ in picked)]
    return out


SIZES = [
    ((5,), (13,)),
    ((9,), (4,)),
    ((1,), (6,)),
    ((7, 7), (21, 14)),
    ((3, 5), (10, 4)),
    ((8, 8), (4, 4)),
    ((9, 4), (3, 11)),
    ((1, 4), (5, 9)),
    ((2, 1), (6, 6)),
    ((2, 3, 4), (5, 6, 7)),
    ((4, 4, 4), (2, 9, 1)),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("old", "new"), SIZES)
def test_resize_is_its_definition(old: tuple[int, ...], new: tuple[int, ...], dtype: type) -> None:
    stack = np.random.default_rng(0).uniform(size=(2, *old)).astype(dtype)
    result = maps.resize(stack, new)
    assert result.dtype == dtype
    assert result.shape == (2, *new)
    for m, resized in zip(stack, result, strict=True):
        np.testing.assert_allclose(resized, literal_resize(m, new), rtol=0, atol=1e-6)


@pytest.mark.parametrize("new", [(14, 21), (224, 224), (3, 50), (2, 2)])
def test_resize_is_opencvs(new: tuple[int, int]) -> None:
    stack = np.random.default_rng(0).uniform(size=(3, 7, 5)).astype(np.float32)
    expected = [cv2.resize(m, (new[1], new[0]), interpolation=cv2.INTER_LINEAR) for m in stack]
    np.testing.assert_allclose(maps.resize(stack, new), expected, rtol=0, atol=1e-6)


def test_width_and_height_are_not_swapped() -> None:
    tall = np.array([[[0], [1]]], np.float32)  # height 2, width 1: dark above, bright below
    assert maps.resize(tall, (4, 2))[0].tolist() == [[0, 0], [0.25, 0.25], [0.75, 0.75], [1, 1]]
    assert maps.resize(tall, [np.int64(2), np.int64(3)])[0].tolist() == [[0, 0, 0], [1, 1, 1]]


def test_resize_to_the_same_size_is_the_same() -> None:
    stack = np.random.default_rng(0).uniform(size=(2, 3, 4)).astype(np.float32)
    assert np.array_equal(maps.resize(stack, (3, 4)), stack)


def test_resize_takes_any_memory_layout() -> None:
    stack = np.random.default_rng(0).uniform(size=(4, 3, 2)).astype(np.float32)
    turned = stack.transpose(2, 0, 1)
    assert not turned.flags.c_contiguous
    assert np.array_equal(maps.resize(turned, (9, 9)), maps.resize(turned.copy(), (9, 9)))
    assert np.array_equal(maps.resize(stack[:, ::-1], (9, 9)), maps.resize(stack[:, ::-1].copy(), (9, 9)))


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=4, max_side=6), elements=st.floats(0, 1, width=32)),
    st.data(),
)
def test_resize_stays_between_the_neighbours(stack: np.ndarray, data: st.DataObject) -> None:
    size = data.draw(st.tuples(*[st.integers(1, 12)] * (stack.ndim - 1)))
    result = maps.resize(stack, size)
    axes = tuple(range(1, stack.ndim))
    assert (result.max(axis=axes) <= stack.max(axis=axes) + 1e-6).all()
    assert (result.min(axis=axes) >= stack.min(axis=axes) - 1e-6).all()
    # Mirrored, resized and mirrored back: half-pixel centres know no left and right.
    mirrored = np.flip(maps.resize(np.flip(stack, axes), size), axes)
    np.testing.assert_allclose(mirrored, result, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(4,), (4, 5, 6), (0, 5), (4, -1), ()])
def test_resize_to_nonsense(size: tuple[int, ...]) -> None:
    with pytest.raises(xaicore.InputError, match=r"for maps of shape \(1, 3, 3\): expected 2 positive numbers"):
        maps.resize(np.ones((1, 3, 3), np.float32), size)


# Fusing.


def test_fuse_by_hand() -> None:
    coarse = np.array([[[0, 100]]], np.float32)  # 1 x 2
    fine = np.array([[[1, 2, 3, 4]]], np.float32)  # 1 x 4
    # 0, 100 -> 0, 1 -> 0, 0.25, 0.75, 1; the other is divided by 4.
    expected = [[[(0 + 0.25) / 2, (0.25 + 0.5) / 2, (0.75 + 0.75) / 2, (1 + 1) / 2]]]
    assert maps.fuse([coarse, fine]).tolist() == expected
    assert maps.fuse([fine, coarse]).tolist() == expected
    assert maps.fuse([coarse]) is coarse
    # Each is normalised before it is resized: a peak that resizing flattens is not pumped up again.
    peak = maps.fuse([np.array([[[0, 8, 0]]], np.float32), np.zeros((1, 1, 6), np.float32)])
    assert peak.tolist() == [[[0, 0.125, 0.375, 0.375, 0.125, 0]]]
    assert maps.fuse([coarse, np.zeros_like(fine)])[0, 0].tolist() == [0, 0.125, 0.375, 0.5]


def test_the_finest_is_the_one_with_most_positions() -> None:
    fused = maps.fuse([np.ones((2, 2, 9), np.float32), np.ones((2, 5, 4), np.float32)])
    assert fused.shape == (2, 5, 4)
    assert (fused == 1).all()

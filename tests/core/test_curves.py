"""Signals: where the curve is, and which columns have which heat."""

from __future__ import annotations

import base64
import re

import cv2
import numpy as np
import pytest
from explanations import explanation
from hypothesis import given
from hypothesis import strategies as st

import xaicore
from xaicore import Drawing, overlay
from xaicore.show import curves
from xaicore.show.curves import BAND, GAP, GROUND, WIDEST, draw, spread, width_of
from xaicore.show.pictures import from_inputs


@given(st.integers(1, 20_000))
def test_each_sample_has_a_whole_number_of_columns_or_shares_one(length: int) -> None:
    width = width_of(length)
    assert (width % length == 0) if length <= WIDEST else (width == WIDEST)
    assert width >= min(512, WIDEST)


@pytest.mark.parametrize("length", [1, 9, 600, 1024, 1025, 5000])
@pytest.mark.parametrize("sign", [1, -1])
def test_every_spike_is_seen(length: int, sign: int) -> None:
    """One sample with evidence is in the columns where its part of the curve is, and nowhere else."""
    for at in {0, length // 3, length - 1}:
        heat = np.zeros((1, length), np.float32)
        heat[0, at] = sign
        row = spread(heat)[0, 0]
        (where,) = np.nonzero(row)
        assert set(row[where]) == {sign}
        assert where[0] <= (at + 0.5) / length * len(row) <= where[-1] + 1
        assert len(where) == max(1, len(row) // length)


def test_the_heat_lies_behind_the_curves_and_in_the_band_below() -> None:
    x = np.random.default_rng(0).random((1, 1, 8)).astype(np.float32)
    one = explanation(x)
    heat = np.repeat(one.heatmaps()[0], 64)
    canvas = one.heatmap(0)
    height = len(canvas)
    np.testing.assert_array_equal(canvas[: height - BAND - GAP], np.tile(heat, (height - BAND - GAP, 1)))
    assert not canvas[height - BAND - GAP : height - BAND].any()
    np.testing.assert_array_equal(canvas[height - BAND :], np.tile(heat, (BAND, 1)))
    assert (one.form, one.images_from, one.images.shape) == ("signal", "curve", (1, height, 512, 3))
    images = one.draw(0, Drawing("magma", 0.7))
    np.testing.assert_array_equal(images["overlay"], overlay.blend(one.images, canvas[None], "magma", 0.7)[0])
    np.testing.assert_array_equal(images["heatmap"], overlay.colorize(canvas, "magma"))
    assert one.row(0)["views"] is None


def test_a_curve_goes_through_its_samples() -> None:
    signal = np.array([[[0, 4, 2, 2, 2, 2, 2, 2]]], np.float32)
    (picture,) = draw(signal)
    lane = picture[: len(picture) - BAND - GAP]
    y = [lane[:-1, 64 * i + 32, 0].argmax() for i in range(8)]
    top, bottom = 4, len(lane) - 5
    assert y == pytest.approx([bottom, top, *[(top + bottom) / 2] * 6], abs=2)
    assert tuple(picture[-1, 0]) == GROUND


def test_channels_have_lanes_of_their_own_up_to_twelve() -> None:
    one_value = np.full((1, 3, 8), 5, np.float32)
    (picture,) = draw(one_value)
    lane = (len(picture) - BAND - GAP) // 3
    rows = [lane * i + picture[lane * i : lane * i + lane, 300, 0].argmax() for i in range(3)]
    assert rows == pytest.approx([lane * i + 4 + (lane - 9) / 2 for i in range(3)], abs=1)
    many, twelve = draw(np.zeros((1, 64, 8), np.float32)), draw(np.zeros((1, 12, 8), np.float32))
    assert many.shape == twelve.shape
    assert (many != twelve).any()  # it says how many there are


def test_signals_of_channels_last_are_the_same() -> None:
    x = np.random.default_rng(0).random((2, 3, 9)).astype(np.float32)
    first, last = (from_inputs(one, (9,), 2) for one in (x, np.moveaxis(x, 1, -1)))
    assert first[1] == last[1] == "curve"
    np.testing.assert_array_equal(first[0], last[0])


def test_whole_numbers_are_no_curve() -> None:
    """They may be words."""
    assert from_inputs(np.arange(18).reshape(2, 1, 9), (9,), 2) == (None, None)
    words = explanation(np.ones((2, 1, 9)))
    words.pictures.__setstate__({"given": None, "_made": (None, None)})
    assert list(words.draw(0)) == ["heatmap"]
    assert words.heatmap(0).shape == (curves.ALONE, 513)


def test_pictures_given_for_signals_are_refused() -> None:
    with pytest.raises(xaicore.InputError, match=r"images= with signals of 9 samples: .* Leave images= out"):
        explanation(np.ones((2, 1, 9)), images=np.zeros((2, 6, 8, 3), np.uint8))


def test_the_peak_of_a_map_of_many_samples_is_its_own() -> None:
    """Not that of its picture, of which most pixels may be margin."""
    one = explanation(np.random.default_rng(0).random((1, 1, 5000)))
    assert one.peak(0) == one.maps.max()


def test_an_outline_is_around_the_samples_with_the_most_evidence() -> None:
    heat = np.zeros((1, 1, 8))
    heat[0, 0, 2:4] = 1
    one = explanation(heat)
    line = one.outline(0, Drawing(outline=0.25))
    columns = set(np.nonzero(line)[1])
    assert {128, 255} <= columns <= set(range(127, 257))  # the line is two pixels wide


def test_the_notebook_shows_the_curve() -> None:
    one = explanation(np.random.default_rng(0).random((1, 1, 8)))
    found = re.findall(r'alt="([^"]*)"[^>]*base64,([^"]*)"', one._repr_html_())
    over = f"given for {one.target_name(0)} over 0"
    assert [alt for alt, _ in found] == ["0", over, f"heatmap: {over}"]
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(found[1][1]), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(shown, one.overlay(0))

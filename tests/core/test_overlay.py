"""Colours in the right order, pictures left alone where there is no evidence."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import xaicore
from xaicore import overlay

# The ends of the published tables.
ENDS = {
    "viridis": ((68, 1, 84), (253, 231, 37)),
    "inferno": ((0, 0, 4), (252, 255, 164)),
    "magma": ((0, 0, 4), (252, 253, 191)),
    "cividis": ((0, 34, 78), (254, 232, 56)),
    "jet": ((0, 0, 128), (128, 0, 0)),
}


@pytest.mark.parametrize("name", ENDS)
def test_colours_are_rgb(name: str) -> None:
    low, high = overlay.colorize(np.array([[[0.0, 1.0]]]), name)[0, 0].astype(int)
    assert np.abs(low - ENDS[name][0]).max() <= 2
    assert np.abs(high - ENDS[name][1]).max() <= 2


def test_inferno_is_the_default_and_its_lightness_rises() -> None:
    assert (overlay.COLORMAP, overlay.ALPHA) == ("inferno", 0.7)
    ramp = np.linspace(0, 1, 256)[None]
    colors = overlay.colorize(ramp)
    assert colors.shape == (1, 256, 3)
    assert colors.dtype == np.uint8
    assert np.array_equal(colors, overlay.colorize(ramp, "inferno"))
    lightness = cv2.cvtColor(colors, cv2.COLOR_RGB2LAB)[0, :, 0].astype(int)
    assert (np.diff(lightness) >= 0).all()
    assert lightness[-1] - lightness[0] > 150


def test_colour_maps_have_names() -> None:
    names = overlay.colormaps()
    assert {"viridis", "inferno", "magma", "cividis", "turbo", "jet"} <= set(names)
    assert list(names) == sorted(names)
    assert np.array_equal(overlay.colorize(np.ones((1, 1)), "INFERNO"), overlay.colorize(np.ones((1, 1))))
    with pytest.raises(xaicore.InputError, match=r"no colour map called 'rainbows'; known: autumn, .*viridis"):
        overlay.colorize(np.ones((1, 1)), "rainbows")


@pytest.mark.parametrize(("options", "alpha"), [({}, 0.7), ({"alpha": 0.6}, 0.6)])
def test_blend_by_hand(options: dict[str, float], alpha: float) -> None:
    images = np.array([[[[100, 150, 200]] * 3]], np.uint8)
    out = overlay.blend(images, np.array([[[0.0, 0.5, 1.0]]], np.float32), **options)
    colors = overlay.colorize(np.array([[0.0, 0.5, 1.0]]))[0].astype(float)
    for pixel, heat in enumerate((0.0, 0.5, 1.0)):
        expected = images[0, 0, pixel] * (1 - alpha * heat) + colors[pixel] * alpha * heat
        assert np.abs(out[0, 0, pixel] - expected).max() <= 0.51
    assert out[0, 0, 0].tolist() == [100, 150, 200]


PHOTOS = hnp.arrays(np.uint8, (2, 4, 5, 3))


@given(PHOTOS, st.floats(0, 1))
def test_without_heat_the_picture_is_bit_identical(images: np.ndarray, alpha: float) -> None:
    before = images.copy()
    assert np.array_equal(overlay.blend(images, np.zeros((2, 4, 5), np.float32), "magma", alpha), images)
    assert np.array_equal(overlay.blend(images, np.ones((2, 4, 5), np.float32), "magma", 0), images)
    assert np.array_equal(images, before)


def test_opacity_grows_with_evidence() -> None:
    photo = np.zeros((1, 1, 11, 3), np.uint8)
    heat = np.linspace(0, 1, 11, dtype=np.float32)[None, None]
    color = overlay.colorize(heat)[0, 0].astype(float).max(axis=1)
    visible = overlay.blend(photo, heat, alpha=1.0)[0, 0].astype(float).max(axis=1) / color
    assert (np.diff(visible) > 0).all()
    assert visible[-1] == 1


def test_blend_of_what_does_not_fit() -> None:
    image, heat = np.zeros((1, 2, 3, 3), np.uint8), np.zeros((1, 2, 3), np.float32)
    with pytest.raises(xaicore.InputError, match=r"images \(1, 2, 3, 3\) and heatmaps \(1, 3, 2\) differ: expected"):
        overlay.blend(image, heat.transpose(0, 2, 1))
    for alpha in (-0.1, 1.5, float("nan")):
        with pytest.raises(xaicore.InputError, match=r"alpha=.*: expected an opacity between 0 and 1"):
            overlay.blend(image, heat, alpha=alpha)


def test_outline_goes_around_the_strongest_share() -> None:
    heat = np.full((1, 20, 30), 0.1, np.float32)
    heat[0, 5:15, 8:20] = 0.5 + np.arange(120, dtype=np.float32).reshape(10, 12) / 300  # 120 of 600 pixels: 20 %
    image = np.zeros((1, 20, 30, 3), np.uint8)
    before = image.copy()
    drawn = overlay.outline(image, heat, 0.2, color=(255, 0, 10))
    assert np.array_equal(image, before)
    ring = np.zeros((20, 30), bool)
    ring[5:15, 8:20] = True
    ring[6:14, 9:19] = False
    assert (drawn[0][ring] == (255, 0, 10)).all()  # RGB, as everything
    assert not drawn[0, 8:12, 11:17].any()  # the inside stays
    assert not drawn[0, :3].any()
    assert not drawn[0, :, 24:].any()


def test_outline_leaves_out_what_has_no_evidence() -> None:
    heat = np.zeros((2, 9, 9), np.float32)
    heat[0, 4, 4] = 1
    drawn = overlay.outline(np.zeros((2, 9, 9, 3), np.uint8), heat, 1.0)
    assert drawn[0, 4, 4].tolist() == [255, 255, 255]
    assert not drawn[0, :2].any()
    assert not drawn[1].any()
    for share in (0, 1.1, -1):
        with pytest.raises(xaicore.InputError, match=r"outline=.*: expected a share of the pixels, 0 < outline <= 1"):
            overlay.outline(np.zeros((1, 2, 2, 3), np.uint8), heat[:1, :2, :2], share)

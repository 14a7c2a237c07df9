"""Signed maps: what is drawn and said of evidence against the target."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from explanations import example, explanation, strip

import xaicore
from xaicore import localize, maps, overlay
from xaicore.monitor.scale import Scale
from xaicore.show import caption, evidence
from xaicore.show.drawing import Drawing

BLUE, WHITE, RED = (0x21, 0x66, 0xAC), (0xF7, 0xF7, 0xF7), (0xB2, 0x18, 0x2B)
PURPLE, ORANGE = (0x6A, 0x51, 0xA3), (0xB3, 0x58, 0x06)


@pytest.fixture
def one() -> xaicore.Explanation:
    """Two pictures: a map from -2 to 1, and one of -4 and 8; and zeros."""
    values = np.array([[[[-2, 0, 1]]], [[[-4, 0, 8]]], [[[0, 0, 0]]]], np.float32)
    return explanation(values, signed=True, images=np.full((3, 1, 3, 3), 100, np.uint8))


def test_maps_are_divided_by_their_largest_magnitude(one: xaicore.Explanation) -> None:
    assert one.signed
    assert one.maps[0].tolist() == [[-2, 0, 1]]
    assert one.heatmaps().tolist() == [[[-1, 0, 0.5]], [[-0.5, 0, 1]], [[0, 0, 0]]]
    assert one.heatmaps(normalize="none").tolist() == one.maps.tolist()
    with pytest.raises(xaicore.InputError, match="moves the zero of signed maps"):
        one.heatmaps(normalize="minmax")


def test_no_evidence_at_all_is_zeros() -> None:
    found = explanation(np.array([[[[-1.0, 0]]], [[[0, 0]]]]), signed=True)
    assert found.empty.tolist() == [False, True]
    assert [evidence(found.row(m)) for m in (0, 1)] == ["blue against, red for the target", "no evidence"]
    assert explanation(np.array([[[[-1.0, 0]]]])).empty.tolist() == [True]


def test_colours_by_value() -> None:
    values = np.array([[-1, -0.5, 0, 0.5, 1]], np.float32)
    colors = overlay.colorize(values, "blue-red")[0]
    assert [tuple(colors[i]) for i in (0, 2, 4)] == [BLUE, WHITE, RED]
    np.testing.assert_allclose(colors[1], (0x92, 0xC5, 0xDE), atol=1)
    np.testing.assert_allclose(colors[3], (0xF4, 0xA5, 0x82), atol=1)
    other = overlay.colorize(values, "purple-orange")[0]
    assert [tuple(other[i]) for i in (0, 2, 4)] == [PURPLE, WHITE, ORANGE]


@pytest.mark.parametrize("name", overlay.diverging())
def test_both_ends_darken_alike(name: str) -> None:
    """The lightness of CIELAB falls from zero to both ends, so that the scale is read without its hues, too."""
    colors = overlay.colorize(np.linspace(-1, 1, 255, dtype=np.float32)[None], name)[0] / 255
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    lightness = 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16
    steps = np.diff(lightness)
    assert steps[:127].min() > -0.1  # colours are whole numbers
    assert steps[127:].max() < 0.1
    assert (lightness[127] > 95, *(lightness[[0, -1]] < 50)) == (True, True, True)
    assert abs(lightness[0] - lightness[-1]) < 10


def test_overlays_show_the_picture_where_there_is_no_evidence(one: xaicore.Explanation) -> None:
    drawn = one.overlays(alpha=0.5)
    below = np.array([100, 100, 100])
    np.testing.assert_allclose(drawn[0, 0, 0], (below + BLUE) / 2, atol=1)
    np.testing.assert_array_equal(drawn[0, 0, 1], below)
    np.testing.assert_allclose(drawn[1, 0, 2], (below + RED) / 2, atol=1)
    np.testing.assert_allclose(drawn[0, 0, 2], below + 0.25 * ((0xF4, 0xA5, 0x82) - below), atol=1)  # half as opaque
    np.testing.assert_array_equal(drawn[2], np.full((1, 3, 3), 100))
    np.testing.assert_array_equal(one.overlay(0, Drawing(alpha=0.5)), drawn[0])
    purple = one.overlays(diverging="purple-orange", alpha=1)
    assert tuple(purple[0, 0, 0]) == PURPLE
    assert tuple(one.draw(0, Drawing(diverging="purple-orange"))["heatmap"][0, 0]) == PURPLE
    assert tuple(one.draw(1)["heatmap"][0, 2]) == RED


def test_colour_maps_for_the_other_kind_are_refused() -> None:
    with pytest.raises(xaicore.InputError, match=r"diverging='viridis'.*known: blue-red, purple-orange"):
        Drawing(diverging="viridis")
    with pytest.raises(xaicore.InputError, match=r"colormap='blue-red'.*known: .*viridis"):
        Drawing(colormap="blue-red")


def test_masks_and_boxes_are_of_the_evidence_for_the_target() -> None:
    values = np.zeros((2, 1, 4, 6), np.float32)
    values[0, 0, :2, :2], values[0, 0, 2:, 3:5] = -9, 1
    values[1, 0, 0, 0] = -1
    found = explanation(values, signed=True)
    assert found.boxes().tolist() == [[3, 2, 5, 4], [0, 0, 0, 0]]
    assert not found.masks()[0, :2, :2].any()
    assert localize.masks(-np.ones((1, 2, 2))).sum() == 0


def test_fused_layers_keep_their_signs() -> None:
    fused = maps.fuse([np.float32([[[-2, 2]]]), np.float32([[[-4, 0]]])])
    assert fused.tolist() == [[[-1, 0.5]]]


def test_ceilings_limit_both_ends(one: xaicore.Explanation) -> None:
    fixed = dataclasses.replace(one, ceilings=np.float32([1, 16, 0]))
    assert fixed.heatmaps().tolist() == [[[-1, 0, 1]], [[-0.25, 0, 0.5]], [[0, 0, 0]]]
    scale = Scale("first", ["given"])
    assert scale(one).ceilings.tolist() == [8, 8, 8]
    against = explanation(np.array([[[[-5.0, 1]]]]), signed=True)
    assert Scale("first", ["given"])(against).ceilings.tolist() == [5]


def test_rows_and_captions_say_so(one: xaicore.Explanation) -> None:
    row = one.row(0)
    assert (row["signed"], row["minimum"], row["maximum"], row["empty"]) == (True, -2, 1, False)
    assert caption(row).endswith("given at conv | signed")
    assert "blue against, red for the target" in one._repr_html_()
    assert not example().row(0)["signed"]
    assert "signed" not in caption(example().row(0))


def test_the_strongest_view_is_that_of_the_largest_magnitude() -> None:
    values = np.array([[[[[-6.0, 0]], [[2, 0]]]]])
    several = dataclasses.replace(strip(values, None, ["left", "right"]), signed=True)
    assert several.row(0)["view_maxima"] == [6, 2]


def test_signed_maps_stay_signed_in_parts(one: xaicore.Explanation) -> None:
    parts = [one.take([0]), one.take([1, 2])]
    joined = xaicore.Explanation.concatenate(parts)
    assert joined.signed
    np.testing.assert_array_equal(joined.maps, one.maps)
    with pytest.raises(xaicore.InputError, match="differ"):
        xaicore.Explanation.concatenate([parts[0], dataclasses.replace(parts[1], signed=False)])


# Maps of single pixels.


def test_maps_of_pixels_are_scaled_by_a_percentile() -> None:
    values = np.random.default_rng(0).normal(size=(1, 1, 40, 50)).astype(np.float32)
    values[0, 0, 3, 4] = 1000
    found = dataclasses.replace(explanation(values, signed=True), of_pixels=True)
    assert found.scaling == "robust"
    top = np.sort(np.abs(values).reshape(-1))[-21:-19]  # 99 % of 2000 pixels
    drawn = found.heatmap(0)
    expected = np.clip(values[0, 0] / np.percentile(np.abs(values), 99), -1, 1)
    np.testing.assert_allclose(drawn, expected, atol=1e-6)
    assert top[0] <= np.abs(values[0, 0][np.abs(drawn) < 1]).max() <= top[1]
    assert found.heatmaps(normalize="max").max() == 1
    assert np.sort(found.heatmaps(normalize="max").reshape(-1))[-2] < 0.01
    np.testing.assert_array_equal(found.heatmaps()[0], drawn)
    assert Scale("first", ["given"])(found).ceilings[0] == pytest.approx(np.percentile(np.abs(values), 99))


def test_a_map_of_few_pixels_is_scaled_by_its_maximum() -> None:
    values = np.zeros((1, 20, 20), np.float32)
    values[0, 1, 1] = -3
    assert maps.normalize(values, "robust")[0, 1, 1] == -1
    assert maps.tops(values, "robust").tolist() == [3]

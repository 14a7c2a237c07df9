"""How maps are drawn: one row is drawn as all rows are, and options are refused before anything runs."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest
from explanations import example, explanation

import xaicore
from xaicore import Drawing, overlay

RNG = np.random.default_rng(3)


def drawable() -> dict[str, xaicore.Explanation]:
    given = example(n=3, k=2)
    inputs = RNG.uniform(0, 5, (2, 3, 6, 8))
    return {
        "given pictures": given,
        "given pictures, larger than the input": dataclasses.replace(given, input_size=(5, 7)),
        "pictures made of the input": explanation(inputs),
        "no pictures": explanation(RNG.random((2, 1, 5, 7)), (10, 14)),
        "a shared scale": dataclasses.replace(given, ceilings=np.float32([0, 1, 2, 3, 4, 100])),
        "double precision": dataclasses.replace(given, maps=given.maps.astype(np.float64)),
        "no evidence": explanation(np.zeros((1, 2, 5, 7)), images=np.zeros((1, 9, 9, 3), np.uint8)),
    }


@pytest.mark.parametrize("drawing", [None, Drawing("magma", 0.8), Drawing("inferno", 1, 0.3)])
@pytest.mark.parametrize("name", list(drawable()))
def test_a_row_is_drawn_as_all_rows_are_bit_by_bit(name: str, drawing: Drawing | None) -> None:
    one = drawable()[name]
    options = dataclasses.asdict(drawing or Drawing())
    heatmaps = one.heatmaps()
    overlays = None if one.images is None else one.overlays(**options)
    assert one.drawable
    for m in range(len(one)):
        images = one.draw(m, drawing)
        assert list(images) == (["heatmap"] if overlays is None else ["picture", "overlay", "heatmap"])
        assert all(image.dtype == np.uint8 for image in images.values())
        np.testing.assert_array_equal(one.heatmap(m), heatmaps[m])
        assert one.heatmap(m).dtype == heatmaps.dtype
        np.testing.assert_array_equal(one.heatmap(m, "none"), one.heatmaps(normalize="none")[m])
        np.testing.assert_array_equal(images["heatmap"], overlay.colorize(heatmaps, options["colormap"])[m])
        if overlays is None:
            assert one.picture(m) is None
            with pytest.raises(xaicore.InputError, match="no pictures to lay the heatmaps over"):
                one.overlay(m)
        else:
            np.testing.assert_array_equal(images["overlay"], overlays[m])
            np.testing.assert_array_equal(one.overlay(m, drawing), overlays[m])
            np.testing.assert_array_equal(images["picture"], one.images[one.image_index[m]])
            np.testing.assert_array_equal(one.picture(m), images["picture"])


@pytest.mark.parametrize("shape", [(2, 1, 2, 3, 4, 5), (2, 1)])
def test_what_is_neither_signal_nor_picture_nor_volume_cannot_be_drawn(shape: tuple[int, ...]) -> None:
    one = explanation(np.ones((2, 1, 4, 5)), images=np.zeros((2, 6, 8, 3), np.uint8))
    one = dataclasses.replace(one, maps=np.ones(shape, np.float32))
    assert (one.form, one.drawable) == (None, False)
    assert one.draw(0) == one.draw(1) == {}
    assert one._repr_html_().count("<figure") == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colormap": "viridos"}, "no colour map called 'viridos'"),
        ({"alpha": 2}, "alpha=2: expected an opacity between 0 and 1"),
        ({"alpha": -0.1}, "alpha=-0.1: expected an opacity between 0 and 1"),
        ({"alpha": "x"}, "alpha='x': expected an opacity between 0 and 1"),
        ({"outline": "0.2"}, "outline='0.2': expected a share of the pixels"),
        ({"outline": 0}, "outline=0: expected a share of the pixels"),
        ({"outline": 1.1}, "outline=1.1: expected a share of the pixels"),
        ({"axis": 3}, "axis=3: expected 0, 1 or 2, the axis of a volume that slices are cut along"),
        ({"axis": "d"}, "axis='d': expected 0, 1 or 2"),
        ({"slices": 0}, "slices=0: expected a positive number of slices, or None for all"),
        ({"slices": 2.5}, "slices=2.5: expected a positive number"),
    ],
)
def test_values_are_checked_when_a_drawing_is_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(xaicore.InputError, match=re.escape(message)):
        Drawing(**options)
    with pytest.raises(xaicore.InputError, match=re.escape(message)):
        Drawing.from_options(options, "mine")


def test_a_drawing_of_a_loggers_options() -> None:
    assert Drawing.from_options({}, "mine") == Drawing("inferno", 0.7, None)
    assert Drawing.from_options({"outline": 0.2, "colormap": "magma"}, "mine") == Drawing("magma", 0.7, 0.2)
    with pytest.raises(xaicore.PluginError) as caught:
        Drawing.from_options({"alpha": 0.3, "color": 1, "x": 2}, "mine", ["root"], ["mode", "id"])
    known = "known: root, colormap, alpha, outline, diverging, axis, slices, boxes, mode, id"
    assert str(caught.value) == f"the mine logger has no option 'color', 'x'; {known}"


def test_a_loggers_own_drawing_has_more_options() -> None:
    @dataclasses.dataclass(frozen=True)
    class Mine(Drawing):
        line: int = 1

    assert Mine.from_options({"line": 3, "alpha": 1}, "mine") == Mine(alpha=1, line=3)
    with pytest.raises(xaicore.PluginError, match=r"diverging, axis, slices, boxes, line$"):
        Mine.from_options({"lines": 3}, "mine")

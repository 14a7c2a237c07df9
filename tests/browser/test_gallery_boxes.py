"""The box of a target in the gallery: where it lies in the picture, whatever the size and shape of either."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import toy_run
from browser import Tab
from reading import facts, open_large

import xaicore

Visit = Callable[..., Tab]

BOX = (16.0, 8.0, 48.0, 40.0)
"""In pixels of what the model sees, 48 x 64."""


def write(root: Path, images: tuple[int, int]) -> Path:
    """A run of three pictures of this size (H, W) and two targets, of which the first one has a box."""
    one = toy_run.at_step(5, "first")
    nowhere = (np.nan,) * 4
    pictures = np.full((3, *images, 3), 100, np.uint8)
    one = dataclasses.replace(
        one,
        target_boxes=np.array([BOX, nowhere] * 3),
        pictures=xaicore.explainer.Pictures.from_array(pictures, "user"),
    )
    one.save(root)
    return root


def expected(tab: Tab, selector: str, images: tuple[int, int]) -> list[float]:
    """x, y, width and height of the box on the screen."""
    x, y, width, height = tab.box(selector)
    scale = min(width / images[1], height / images[0])  # the picture is fitted into the element
    left, top = x + (width - scale * images[1]) / 2, y + (height - scale * images[0]) / 2
    sx, sy = scale * images[1] / 64, scale * images[0] / 48
    return [left + BOX[0] * sx, top + BOX[1] * sy, (BOX[2] - BOX[0]) * sx, (BOX[3] - BOX[1]) * sy]


def test_cards_and_large_views_have_the_box(tmp_path: Path, visit: Visit) -> None:
    for width, images in ((1200, (48, 64)), (400, (96, 128)), (1400, (400, 100))):
        tab = visit(write(tmp_path / str(width), images), width=width)
        np.testing.assert_allclose(tab.box(".cell rect"), expected(tab, ".cell .stack", images), atol=1)
        open_large(tab)
        for view in ("photo", "overlay", "heatmap"):
            place = f".views .{view} "
            np.testing.assert_allclose(tab.box(place + "rect"), expected(tab, place + ".stack", images), atol=1)
        assert facts(tab)["box"] == "16, 8, 48, 40"


def test_the_line_is_bright_on_dark(tmp_path: Path, visit: Visit) -> None:
    tab = visit(write(tmp_path, (48, 64)))
    x, y, _, height = tab.box(".cell rect")
    column = tab.screenshot()[int(y + height / 2), int(x) - 8 : int(x) + 8].astype(int).sum(axis=1)
    assert column.max() > 700
    assert column.min() < 100


def test_a_target_without_a_place_has_none(tmp_path: Path, visit: Visit) -> None:
    tab = visit(write(tmp_path, (48, 64)))
    assert len(tab.each(".cell .box", "1")) == 3
    tab.choose("[name=k]", "1")
    assert tab.each(".cell .box", "1") == []
    tab.choose("[name=k]", "0")
    assert len(tab.each(".cell .box", "1")) == 3

"""How maps are shown: colour maps, outlines, boxes, and the picture without its heat."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import test_gallery_boxes as boxes
import test_gallery_signed as signed
import toy_run
from browser import Tab
from reading import HEATMAP, OVERLAY, bands, heat, open_large, over, row, seen, sources, texts, visible
from toy_run import BANDS, IDS, PICTURES

import xaicore
from xaicore_disk import gallery

Visit = Callable[..., Tab]

DEFAULT = xaicore.Drawing()
OFFERED = list(dict.fromkeys([DEFAULT.colormap, *gallery.OFFERED]))


def colored(name: str, shares: tuple[float, ...] = BANDS) -> np.ndarray:
    return xaicore.overlay.colorize(np.float32([shares]), name)[0].astype(float)


def test_another_colour_map_colours_cards_large_view_and_legend(run: Path, visit: Visit) -> None:
    tab, name = visit(run), "cividis"
    assert texts(tab, "[name=colors] option") == OFFERED
    tab.choose("[name=colors]", name)
    picture = np.array(PICTURES[0], float)
    expected = picture + DEFAULT.alpha * np.array(BANDS)[:, None] * (colored(name) - picture)
    np.testing.assert_allclose(bands(tab, ".cell .stack"), expected, atol=3)
    np.testing.assert_allclose(seen(tab, "#controls .colors", 0.5), colored(name, (0.5,))[0], atol=6)
    open_large(tab)
    np.testing.assert_allclose(bands(tab, HEATMAP), colored(name), atol=2)
    np.testing.assert_allclose(bands(tab, OVERLAY), expected, atol=2)
    tab.key("Escape")
    tab.choose("[name=colors]", DEFAULT.colormap)
    open_large(tab)
    np.testing.assert_allclose(bands(tab, HEATMAP), heat(BANDS), atol=2)


def test_the_colour_map_of_the_run_is_the_first_one(tmp_path: Path, visit: Visit) -> None:
    toy_run.at_step(5, "first").save(tmp_path, colormap="bone")
    tab = visit(tmp_path)
    assert texts(tab, "[name=colors] option") == ["bone", *gallery.OFFERED]
    tab.choose("[name=colors]", "inferno")
    tab.choose("[name=colors]", "bone")
    open_large(tab)
    np.testing.assert_allclose(bands(tab, HEATMAP), colored("bone"), atol=2)


def test_signed_maps_have_diverging_colour_maps_of_their_own(tmp_path: Path, visit: Visit) -> None:
    with xaicore.open_loggers({"disk": {"root": tmp_path}}, on_error="raise", quiet=True) as log:
        log(signed.explanation(1.0))
        log(toy_run.explanation(np.ones((1, 1, *toy_run.SIZE)), [[0, 1]], "plain", ids=["a"]))
    tab = visit(tmp_path)
    assert texts(tab, "[name=colors] option") == list(xaicore.overlay.diverging())
    tab.choose("[name=colors]", "purple-orange")
    expected = signed.over(signed.SHARES, DEFAULT.alpha, "purple-orange")
    np.testing.assert_allclose(bands(tab, ".cell .stack"), expected, atol=3)
    tab.choose("[name=method]", "plain")
    assert texts(tab, "[name=colors] option") == OFFERED
    assert tab.one("[name=colors]", "e.value") == DEFAULT.colormap
    tab.choose("[name=method]", "signed")
    assert tab.one("[name=colors]", "e.value") == "purple-orange"
    np.testing.assert_allclose(bands(tab, ".cell .stack"), expected, atol=3)


def test_the_outline_is_where_the_map_reaches_half_of_the_scale(run: Path, visit: Visit) -> None:
    """The third band has half of the maximum: the line is at its left edge, and the last band has none."""
    tab = visit(run, 700)
    assert sources(tab, ".cell .line:not([hidden])") == []
    tab.choose("[name=outline]", True)
    tab.settle()
    assert sources(tab, ".cell .line") == [row(run, name)["grey"] for name in IDS]
    x, y, width, height = map(int, tab.box(".cell .stack"))
    line = (tab.screenshot()[y + height // 2, x : x + width].astype(int) > 230).all(axis=1)
    (edge,) = np.flatnonzero(np.diff(line.astype(int)) == 1)[:1]
    assert edge / width == pytest.approx(0.5, abs=0.02)
    inside = line[int(0.55 * width) : int(0.95 * width)]
    assert not inside.any()
    tab.choose("[name=outline]", False)
    np.testing.assert_allclose(bands(tab, ".cell .stack"), over(PICTURES[0], BANDS), atol=2)


def test_the_outline_that_was_logged_is_shown_and_can_be_hidden(tmp_path: Path, visit: Visit) -> None:
    toy_run.at_step(5, "first").save(tmp_path, outline=0.25)
    tab = visit(tmp_path)
    assert tab.one("[name=outline]", "e.checked")
    assert sources(tab, ".cell .line") == [row(tmp_path, name, None)["outline"] for name in IDS]
    tab.choose("[name=outline]", False)
    tab.settle()
    assert sources(tab, ".cell .line:not([hidden])") == []
    np.testing.assert_allclose(bands(tab, ".cell .stack"), over(PICTURES[0], BANDS), atol=2)


def test_the_targets_box_can_be_hidden(tmp_path: Path, visit: Visit) -> None:
    tab = visit(boxes.write(tmp_path, (48, 64)))
    assert visible(tab, "[name=boxes]")
    assert len(tab.each(".cell .box", "1")) == 3
    tab.choose("[name=boxes]", False)
    assert tab.each(".box", "1") == []


def test_the_box_of_the_evidence_is_the_manifests(run: Path, visit: Visit) -> None:
    tab = visit(run)
    assert not visible(tab, "[name=boxes]")
    tab.choose("[name=evidence]", True)
    x0, y0, x1, y1 = row(run)["box"]
    assert tab.one(".cell .box.evidence", "e.getAttribute('viewBox')") == "0 0 64 48"
    left, top, width, height = tab.box(".cell .stack")
    expected = [left + x0 * width / 64, top + y0 * height / 48, (x1 - x0) * width / 64, (y1 - y0) * height / 48]
    np.testing.assert_allclose(tab.box(".cell .evidence rect"), expected, atol=1)
    tab.choose("[name=evidence]", False)
    assert tab.each(".box", "1") == []


def point_at(tab: Tab, selector: str) -> None:
    x, y, width, height = tab.box(selector)
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + width / 2, y=y + height / 2)
    tab.run("new Promise(done => setTimeout(done, 250))")


def test_a_look_at_the_picture_alone(run: Path, visit: Visit) -> None:
    """With the mouse over the card, or the focus on it; the other cards keep their heat."""
    tab = visit(run)
    colors = [np.tile(color, (4, 1)) for color in PICTURES]
    point_at(tab, ".cell .stack")
    np.testing.assert_allclose(bands(tab, ".cell .stack"), colors[0], atol=1)
    np.testing.assert_allclose(bands(tab, ".cell:nth-child(2) .stack"), over(PICTURES[1], BANDS), atol=2)
    point_at(tab, "h1")
    np.testing.assert_allclose(bands(tab, ".cell .stack"), over(PICTURES[0], BANDS), atol=2)
    tab.one(".cell:nth-child(2) .card", "e.focus()")
    tab.key("ArrowLeft")
    tab.run("new Promise(done => setTimeout(done, 250))")
    np.testing.assert_allclose(bands(tab, ".cell .stack"), colors[0], atol=1)


def test_a_finger_on_the_card_shows_the_picture_alone(run: Path, visit: Visit) -> None:
    tab = visit(run)
    tab.call("Emulation.setTouchEmulationEnabled", enabled=True)
    x, y, width, height = tab.box(".cell .stack")
    tab.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x + width / 2, "y": y + height / 2}])
    tab.run("new Promise(done => setTimeout(done, 250))")
    np.testing.assert_allclose(bands(tab, ".cell .stack"), np.tile(PICTURES[0], (4, 1)), atol=1)
    tab.call("Input.dispatchTouchEvent", type="touchCancel", touchPoints=[])
    np.testing.assert_allclose(bands(tab, ".cell .stack"), over(PICTURES[0], BANDS), atol=2)


def test_maps_without_a_picture_keep_their_heat_under_the_mouse(tmp_path: Path, visit: Visit) -> None:
    toy_run.explanation(np.tile(toy_run.bands(3.0), (1, 2, 1, 1)), [[1, 0, 0]], "first").save(tmp_path)
    tab = visit(tmp_path)
    point_at(tab, ".cell .stack")
    np.testing.assert_allclose(bands(tab, ".cell .stack"), heat(BANDS), atol=2)

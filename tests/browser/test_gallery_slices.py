"""Volumes, whose slices lie in several lines of one file, and signals: what is shown of them, and how one scrolls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Tab
from explanations import explanation
from reading import OVERLAY, heat, open_large, over, seen, text, texts, visible

import xaicore
from xaicore.show.curves import GROUND

Visit = Callable[..., Tab]

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0, 0.5, 0.25)
"""The evidence in each slice, the same everywhere in it."""
COLORS = [(20 + 30 * i, 200 - 25 * i, 40 * (i % 4)) for i in range(7)]
LABEL, PLAY, SLIDER = ".cell .label", ".cell .player .play", ".cell .player input"
STACK, FRAME = ".stage .stack", "#large .player .frame"


def volumes(count: int = 1, **known: Any) -> xaicore.Explanation:
    """Of seven slices; slice i has the colour and the evidence i, whichever axis they are cut along."""
    maps = 3 * np.broadcast_to(np.array(SHARES)[:, None, None], (count, 1, 7, 48, 64))
    images = np.broadcast_to(np.array(COLORS, np.uint8)[:, None, None], (count, 7, 48, 64, 3))
    return explanation(maps, images=images, ids=[f"volume {n}" for n in range(count)], **known)


def save(root: Path, *explanations: xaicore.Explanation, **options: Any) -> Path:
    with xaicore.open_loggers({"disk": {"root": root, **options}}, on_error="raise", quiet=True) as log:
        for one in explanations:
            log(one)
    return root


def expected(i: int) -> np.ndarray:
    return over(COLORS[i], (SHARES[i],))[0]


def assert_slice(tab: Tab, i: int, stack: str = STACK) -> None:
    """The whole box shows this slice, and nothing of its neighbours in the file."""
    tab.settle()
    x, y, width, height = tab.box(stack)
    shot = tab.screenshot()
    for across in (0.03, 0.5, 0.97):
        for down in (0.15, 0.5, 0.97):
            np.testing.assert_allclose(shot[int(y + down * height), int(x + across * width)], expected(i), atol=2)


def test_a_card_shows_the_slice_with_the_most_evidence_above_that_of_all(tmp_path: Path, visit: Visit) -> None:
    tab = visit(save(tmp_path, volumes()), 500)
    assert texts(tab, LABEL) == ["slice 4"]
    assert_slice(tab, 4)
    bars = tab.each(".card .profile i", "e.offsetHeight / e.parentElement.clientHeight")
    np.testing.assert_allclose(bars, np.maximum(SHARES, 2 / 37), atol=0.04)
    assert tab.each(".card .profile i", "e.className").index("here") == 4
    assert tab.one(PLAY, "e.getAttribute('aria-label')") == "play the slices of volume 0"
    assert tab.one(SLIDER, "e.getAttribute('aria-label')") == "slice of volume 0"


@pytest.mark.parametrize("i", range(7))
def test_the_slider_goes_to_a_slice(tmp_path: Path, visit: Visit, i: int) -> None:
    tab = visit(save(tmp_path, volumes()), 700)
    tab.choose(SLIDER, str(i))
    assert texts(tab, LABEL) == [f"slice {i}"]
    assert_slice(tab, i)
    open_large(tab)
    assert text(tab, FRAME) == f"slice {i}"
    assert_slice(tab, i, OVERLAY)
    np.testing.assert_allclose(seen(tab, "#large .views .photo .stack", 0.5), COLORS[i], atol=1)
    np.testing.assert_allclose(seen(tab, "#large .heatmap .stack", 0.5), heat((SHARES[i],))[0], atol=2)


def test_keys_and_playing_go_through_slices(tmp_path: Path, visit: Visit) -> None:
    tab = visit(save(tmp_path, volumes(2)))
    tab.key("l")
    tab.key("l")
    assert texts(tab, LABEL) == ["slice 6", "slice 6"]
    tab.key("j", times=9)
    assert texts(tab, LABEL) == ["slice 0", "slice 0"]
    tab.click(PLAY)
    for name in ("slice 2", "slice 4"):
        tab.until(f"document.querySelector('{LABEL}').textContent === '{name}'")
    tab.click(PLAY)
    assert tab.one(PLAY, "e.title") == "play the slices (k)"
    assert texts(tab, LABEL)[1] == "slice 0"


def test_the_wheel_scrolls_slices_of_the_card_with_the_focus(tmp_path: Path, visit: Visit) -> None:
    """On others it scrolls the page, unless it turns sideways."""
    tab = visit(save(tmp_path, volumes(2)))
    tab.wheel(".cell:nth-child(1) .card", 100)
    assert texts(tab, LABEL) == ["slice 4", "slice 4"]
    tab.wheel(".cell:nth-child(1) .card", right=100)
    tab.until(f"document.querySelector('{LABEL}').textContent === 'slice 5'")
    tab.one(".cell:nth-child(2) .card", "e.focus()")
    tab.wheel(".cell:nth-child(2) .card", -200)
    tab.until(f"document.querySelectorAll('{LABEL}')[1].textContent === 'slice 2'")
    assert texts(tab, LABEL) == ["slice 5", "slice 2"]


def test_in_the_large_view_the_wheel_scrolls_slices_and_then_the_page(tmp_path: Path, visit: Visit) -> None:
    tab = visit(save(tmp_path, volumes()), 1000, 420)
    open_large(tab)
    tab.wheel(OVERLAY, 40)  # a touchpad turns in small parts
    tab.wheel(OVERLAY, 40)
    assert text(tab, FRAME) == "slice 4"
    tab.wheel(OVERLAY, 40)
    tab.until(f"document.querySelector('{FRAME}').textContent === 'slice 5'")
    tab.wheel(OVERLAY, 100)
    tab.until(f"document.querySelector('{FRAME}').textContent === 'slice 6'")
    assert tab.one(".body", "e.scrollTop") == 0
    tab.wheel(OVERLAY, 100)
    tab.until("document.querySelector('#large .body').scrollTop > 0")
    assert text(tab, FRAME) == "slice 6"


def test_the_large_view_has_the_evidence_of_all_slices_to_click_at(tmp_path: Path, visit: Visit) -> None:
    tab = visit(save(tmp_path, volumes()))
    open_large(tab)
    assert not visible(tab, "#large .parts")
    assert tab.each("#large .profile i", "e.className").index("here") == 4
    for i in (0, 6, 3):
        at = f"clientX: e.getBoundingClientRect().x + e.clientWidth * {(i + 0.5) / 7}"
        tab.one("#large .profile", f"e.dispatchEvent(new MouseEvent('click', {{bubbles: true, {at}}}))")
        assert text(tab, FRAME) == f"slice {i}"
        assert_slice(tab, i, OVERLAY)


def test_the_options_choose_axis_and_slices(tmp_path: Path, visit: Visit) -> None:
    turned = np.moveaxis(np.broadcast_to(np.array(SHARES)[:, None, None], (7, 48, 64)), 0, 2)[None, None]
    images = np.moveaxis(np.broadcast_to(np.array(COLORS, np.uint8)[:, None, None], (7, 48, 64, 3)), 0, 2)[None]
    tab = visit(save(tmp_path, explanation(turned, images=images), axis=2, slices=4))
    for place, i in enumerate((0, 2, 4, 6)):
        tab.choose(SLIDER, str(place))
        assert texts(tab, LABEL) == [f"slice {i}"]
        assert_slice(tab, i)


def test_a_signal_shows_its_curve_under_its_heat(tmp_path: Path, visit: Visit) -> None:
    maps = np.repeat([0.0, 1.0, 0.5, 0.25], 32)[None, None]
    one = explanation(maps)
    tab = visit(save(tmp_path, one), 1200)
    assert texts(tab, ".cell .player, .cell .profile") == []
    x, y, width, height = tab.box(STACK)
    assert width > 400  # such wide pictures have wide cards
    open_large(tab)
    shapes = tab.each("#large .views .stack", "e.offsetWidth / e.offsetHeight")
    assert shapes == pytest.approx([one.images.shape[2] / one.images.shape[1]] * 3, rel=0.02)
    x, y, width, height = tab.box(OVERLAY)
    shot = tab.screenshot()
    band = shot[int(y + 0.95 * height)].astype(float)
    for i, share in enumerate((0.0, 1.0, 0.5, 0.25)):
        found = band[int(x + width * (i + 0.5) / 4)]
        np.testing.assert_allclose(found, over(GROUND, (share,))[0], atol=2)
    curve = shot[int(y) : int(y + 0.8 * height), int(x + width * 0.125)]
    assert curve.max() > 150


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_volumes_and_signals_fit_at_any_width(tmp_path: Path, visit: Visit, width: int, scheme: str) -> None:
    signals = explanation(np.random.default_rng(0).random((2, 3, 50)), ids=["signal 0", "signal 1"])
    tab = visit(save(tmp_path, volumes(2), signals), width, prefers_color_scheme=scheme)
    wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert tab.run(wider) <= 0
    for inner in (".player", ".profile", ".caption", ".stage"):
        x, y, wide, high = tab.box(".cell .card")
        left, top, w, h = tab.box(f".cell {inner}")
        assert x - 1 <= left
        assert left + w <= x + wide + 1
        assert y - 1 <= top
        assert top + h <= y + high + 1
    _, profile, _, tall = tab.box(".cell .profile")
    _, player, _, _ = tab.box(".cell .player")
    assert profile + tall <= player + 1
    open_large(tab)
    tab.key("ArrowRight")
    tab.key("ArrowRight")
    tab.settle()
    assert (text(tab, "#large h2"), visible(tab, "#large .reel")) == ("signal 0", False)
    assert tab.one("#large .body", "e.scrollWidth - e.clientWidth") <= 0

"""What a notebook shows, in a narrow and in a wide window, on a light and on a dark ground."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browser import Tab
from explanations import example, explanation
from reading import seen, texts

import xaicore

Visit = Callable[..., Tab]
GROUNDS = {"light": ("#fff", "#202020"), "dark": ("#111", "#e8e8e8")}


def open_page(
    one: xaicore.Explanation | xaicore.Comparison, root: Path, visit: Visit, width: int, ground: str = "light"
) -> Tab:
    """The result in an output cell, as a notebook has it: with colours of its own around."""
    back, text = GROUNDS[ground]
    page = f'<!doctype html><meta charset=utf-8><body style="background:{back};color:{text}">{one._repr_html_()}'
    (root / "page.html").write_text(page, encoding="utf-8")
    tab = visit(root, width, page="page.html")
    assert tab.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    return tab


def boxes(tab: Tab, selector: str) -> np.ndarray:
    """Left, top, width and height of each, (n, 4)."""
    return np.array(tab.each(selector, "(b => [b.left, b.top, b.width, b.height])(e.getBoundingClientRect())"))


@pytest.mark.parametrize(("width", "lines"), [(400, 3), (1400, 1)])
def test_curves_can_be_read_at_any_width(tmp_path: Path, visit: Visit, width: int, lines: int) -> None:
    tab = open_page(explanation(np.random.default_rng(0).random((1, 1, 300))), tmp_path, visit, width)
    found = boxes(tab, "img")
    assert len({top for _, top, _, _ in found}) == lines
    assert min(wide for _, _, wide, _ in found) > 300


def test_slices_are_captioned_as_they_lie(tmp_path: Path, visit: Visit) -> None:
    one = explanation(np.ones((1, 1, 7, 12, 16)), images=np.zeros((1, 7, 12, 16, 3), np.uint8))
    (caption,) = texts(open_page(one, tmp_path, visit, 400), "figcaption")
    assert caption.endswith("left to right: slice 0, slice 1, ... slice 6")


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize(("width", "columns"), [(420, 3), (1000, 4)])
def test_overlays_lie_beside_their_picture(tmp_path: Path, visit: Visit, width: int, columns: int, ground: str) -> None:
    one = example(n=2, k=3, class_names=["ant", "bee", "<b>cat</b>", "dog" * 40], ids=["a/" * 60, "b.png"])
    tab = open_page(one, tmp_path, visit, width, ground)
    found = boxes(tab, "section:first-of-type img")
    assert len(found) == 4
    assert len({round(left) for left in found[:, 0]}) == columns
    assert np.ptp(found[:, 2]) < 1  # of one size
    assert 120 < found[0, 2] <= 240
    np.testing.assert_allclose(found[:, 2] / found[:, 3], 18 / 14, rtol=0.02)
    assert [html.unescape(alt) for alt in tab.each("img", "e.alt")][4] == "b.png"
    _, text = GROUNDS[ground]
    wanted = f"rgb({', '.join(str(int(text[i : i + 2], 16)) for i in (1, 3, 5))})"
    assert set(tab.each("figcaption, section b", "getComputedStyle(e).color")) == {wanted}
    assert set(tab.each("div, section, figure", "getComputedStyle(e).backgroundColor")) == {"rgba(0, 0, 0, 0)"}


def test_small_pictures_keep_their_pixels(tmp_path: Path, visit: Visit) -> None:
    """They are enlarged: at the quarters of a picture of two pixels lie the colours of the overlay's own pixels."""
    pictures = np.array([[[[250, 20, 20], [20, 20, 250]]] * 2], np.uint8)
    one = explanation(np.array([[[[0.0, 1.0]] * 2]]), images=pictures)
    tab = open_page(one, tmp_path, visit, 1000)
    for side, column in ((0.25, 0), (0.45, 0), (0.55, 1), (0.75, 1)):
        np.testing.assert_allclose(seen(tab, "figure:nth-child(2) img", side), one.overlay(0)[1, column], atol=2)


def test_results_lie_in_columns(tmp_path: Path, visit: Visit) -> None:
    named = {name: example(n=1, k=2, seed=i) for i, name in enumerate(("first", "second"))}
    results = xaicore.Comparison({name: replace(one, ids=("one",)) for name, one in named.items()})
    for width in (420, 1000):
        tab = open_page(results, tmp_path, visit, width)
        lefts = boxes(tab, "img")[:, 0].round().tolist()
        assert len(lefts) == 5
        assert lefts[3:] == lefts[1:3]  # below the picture is nothing
        assert [text.split(":")[0] for text in texts(tab, "figcaption")] == ["picture", *("first", "second") * 2]

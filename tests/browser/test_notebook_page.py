"""What a notebook shows, in a narrow and in a wide window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from browser import Tab
from explanations import explanation
from reading import texts

import xaicore

Visit = Callable[..., Tab]


def open_page(one: xaicore.Explanation, root: Path, visit: Visit, width: int) -> Tab:
    (root / "page.html").write_text(f"<!doctype html><meta charset=utf-8>{one._repr_html_()}", encoding="utf-8")
    tab = visit(root, width, page="page.html")
    assert tab.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    return tab


@pytest.mark.parametrize(("width", "lines"), [(400, 3), (1400, 1)])
def test_curves_can_be_read_at_any_width(tmp_path: Path, visit: Visit, width: int, lines: int) -> None:
    tab = open_page(explanation(np.random.default_rng(0).random((1, 1, 300))), tmp_path, visit, width)
    boxes = tab.each("img", "(b => [b.top, b.width])(e.getBoundingClientRect())")
    assert len({top for top, _ in boxes}) == lines
    assert min(wide for _, wide in boxes) > 300


def test_slices_are_captioned_as_they_lie(tmp_path: Path, visit: Visit) -> None:
    one = explanation(np.ones((1, 1, 7, 12, 16)), images=np.zeros((1, 7, 12, 16, 3), np.uint8))
    (caption,) = texts(open_page(one, tmp_path, visit, 400), "figcaption")
    assert caption.endswith("left to right: slice 0, slice 1, ... slice 6")

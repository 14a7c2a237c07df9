"""The page of a data set's run, as a browser shows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from browser import Tab
from maprun import pictures_in, run_of, write_run

import xaicore

LONG = "a class that is called by a name of many words, such as a synset has, and another, and one more"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    paths = pictures_in(tmp_path_factory.mktemp("a folder of pictures"))
    one = run_of(paths, class_names=[LONG, "dog", "<img src=x>", "ant"])
    folder = write_run(tmp_path_factory.mktemp("runs") / "val", one, paths, boxes=[[2, 3, 12, 14]] * 10)
    xaicore.open_maps(folder).page(gallery=4)
    return folder


@pytest.mark.parametrize("width", [420, 1000, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_every_window(visit: Callable[..., Tab], root: Path, width: int, scheme: str) -> None:
    tab = visit(root, width, address="", prefers_color_scheme=scheme)
    assert tab.run("document.documentElement.scrollWidth") == width
    assert tab.run("document.images.length") == 3 + 10 + 2 * 3 + 4
    tab.run("[...document.images].forEach(i => i.loading = 'eager')")
    tab.until("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    dark = tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(18, 21, 27)"
    assert dark == (scheme == "dark")


def test_names_are_text_and_links_lead_to_their_sections(visit: Callable[..., Tab], root: Path) -> None:
    tab = visit(root, address="")
    assert tab.run("document.querySelectorAll('img[src=x]').length") == 0
    assert "<img src=x>" in tab.each(".classes b", "e.textContent")
    targets = tab.each("nav a:not(.main)", "document.querySelector(e.hash).querySelector('h2').textContent")
    assert targets == tab.each("nav a:not(.main)", "e.textContent")
    tab.click("nav .main")
    tab.until("location.pathname.endsWith('/gallery/index.html') && document.readyState === 'complete'")
    tab.until("document.querySelectorAll('.card').length == 4")

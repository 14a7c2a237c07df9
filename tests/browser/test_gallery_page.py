"""The page as a whole: that it fits, loads, and lets nothing in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import toy_run
from browser import Browser, Tab
from reading import STEPS, open_large, row, shown, sources, text, texts, visible
from toy_run import EVIL, IDS

import xaicore
from xaicore_disk import gallery
from xaicore_disk.manifest import read_manifest

Visit = Callable[..., Tab]


def test_untrusted_names_are_text(run: Path, visit: Visit) -> None:
    tab = visit(run)
    assert tab.run("document.title") == f"{EVIL} · xaicore"
    assert text(tab, "h1 .name") == EVIL
    open_large(tab)
    assert EVIL in text(tab, "#large .badge")
    assert tab.run("document.querySelectorAll('[onclick]').length") == 0
    assert tab.run("document.scripts.length") == 2  # the data and the program


def test_the_end_of_a_path_stays_where_there_is_no_room_for_all_of_it(run: Path, visit: Visit) -> None:
    tab = visit(run)
    assert texts(tab, ".cell .id span") == ["</", IDS[0][2:], IDS[1], IDS[2]]
    for name, end in ((1, 2), (3, 3)):
        left, _, width, _ = tab.box(f".cell:nth-child({name}) .id")
        assert tab.each(".cell .id span", "e.getBoundingClientRect().right")[end - 1] <= left + width + 0.5
    assert tab.each(".cell .id", "e.title") == list(IDS)


def test_the_policy_lets_nothing_else_run(run: Path, tmp_path: Path, browser: Browser) -> None:
    """Were there a way to put a script into the page, it would not run."""
    bad = "<script>window.ran = 1</script><img src=x onerror='window.ran = 2'><style>body { color: red }</style>"
    page = tmp_path / "injected.html"
    page.write_text((run / "index.html").read_text().replace("<main>", f"<main>{bad}"))
    tab = Tab(browser, page.as_uri())
    assert tab.run("typeof window.ran") == "undefined"
    assert tab.run("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
    assert len([said for said in tab.close() if "Content Security Policy" in said]) == 3


@pytest.mark.parametrize("width", [400, 760, 1400])
def test_it_fits_at_any_width(run: Path, visit: Visit, width: int) -> None:
    def outside(within: str) -> list[str]:
        place = "(b => [e.className, b.left, b.right, e.offsetParent !== null])(e.getBoundingClientRect())"
        boxes = tab.each(f"{within} *:not(.others *, .scroll *)", place)
        return [name for name, left, right, drawn in boxes if drawn and (left < 0 or right > width)]

    tab = visit(run, width)
    if width < 700:
        assert not visible(tab, "[name=method]")
        tab.click(".more")
    assert visible(tab, "[name=method]")
    assert tab.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert outside("body") == []
    assert min(tab.each(".cell", "e.offsetWidth")) >= 160
    open_large(tab, 2)
    assert tab.each(".body, dialog > header", "e.scrollWidth - e.clientWidth") == [0, 0]
    assert outside("dialog") == []
    assert min(tab.each(".views figure", "e.offsetWidth")) >= 170


@pytest.mark.parametrize("steps", [(5,), (None,)])
def test_all_controls_are_reached_in_a_narrow_window(tmp_path: Path, visit: Visit, steps: tuple[int | None]) -> None:
    """The button that shows them is there in a run without steps, too."""
    with xaicore.open_loggers({"disk": {"root": tmp_path}}, on_error="raise", quiet=True) as log:
        for step in steps:
            for method in ("first", "second"):
                log(toy_run.at_step(5, method), step)
    tab = visit(tmp_path, 420, 860)
    names = ["method", "k", "compare", "class", "sort", "evidence", "outline", "opacity", "colors"]
    assert visible(tab, "[name=search]")
    assert visible(tab, "[name=wrong]")
    assert [visible(tab, f"[name={name}]") for name in names] == [False] * len(names)
    assert tab.one(".more", "e.getAttribute('aria-expanded')") == "false"
    tab.click(".more")
    for name in names:
        left, top, width, height = tab.box(f"[name={name}]")
        assert width > 0
        assert 0 <= left <= left + width <= 420
        assert 0 <= top <= top + height <= 860
    tab.choose("[name=method]", "second")
    assert {row["method"] for row in read_manifest(tmp_path) if row["grey"] in sources(tab, ".cell .heat")} == {
        "second"
    }
    tab.click(".more")
    assert not visible(tab, "[name=method]")


def test_motion_is_reduced_where_the_reader_asks(run: Path, visit: Visit) -> None:
    moving = "getComputedStyle(e).transitionDuration"
    assert visit(run).one(".meter i", moving) == "0.2s"
    assert visit(run, prefers_reduced_motion="reduce").one(".meter i", moving) == "0s"


def test_without_scripts_the_newest_maps_are_there(run: Path, browser: Browser) -> None:
    tab = Tab(browser, "about:blank")
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    tab.call("Page.navigate", url=(run / "index.html").as_uri())
    tab.until("document.querySelectorAll('.stills img').length > 0 && document.readyState === 'complete'")
    last = {row["id"]: row["overlay"] for row in read_manifest(run)}
    assert sources(tab, ".stills img") == list(last.values())
    assert not visible(tab, ".bar")
    assert tab.close() == []


def many(root: Path, pictures: int, steps: int) -> str:
    """The name of a page with so many rows, of the few files that are there."""
    base = [row(root, name, step) for name in IDS for step in STEPS]
    rows = (
        {**base[(n + step) % len(base)], "id": f"picture {n}", "step": step}
        for step in range(steps)
        for n in range(pictures)
    )
    about = json.loads((root / "run.json").read_text())
    name = f"{pictures}-{steps}.html"
    (root / name).write_text(gallery.render([gallery.Part(about)], gallery.Columns(rows), xaicore.Drawing()))
    return name


def test_thousands_of_pictures(run: Path, visit: Visit) -> None:
    """Only what is near the window is in the page; to see the last one, go there. Screen readers hear how many."""
    tab = visit(run, page=many(run, 5000, 1))
    assert text(tab, ".status") == "5000 pictures"
    assert tab.each(".cell", "[e.ariaPosInSet, e.ariaSetSize]")[:2] == [["1", "5000"], ["2", "5000"]]
    assert 5 < len(texts(tab, ".card")) < 100
    whole = tab.run("document.documentElement.scrollHeight")
    for top in range(0, 18_000, 900):
        tab.run(f"window.scrollTo(0, {top})")
        tab.settle()
        assert tab.run("document.elementFromPoint(600, 500).closest('.grid') !== null")
        assert tab.run("document.documentElement.scrollHeight") == pytest.approx(whole, abs=2)
    assert 5 < len(texts(tab, ".card")) < 100
    tab.run("window.scrollTo(0, 1e9)")
    tab.until("document.querySelector('.cell:last-child .id')?.textContent === 'picture 4999'")
    tab.settle()
    assert tab.one(".cell:last-child .heat", "e.naturalWidth") == 64
    assert len(texts(tab, ".card")) < 100
    tab.choose("[name=search]", "4321")
    tab.settle()
    assert shown(tab) == ["picture 4321"]


def test_hundreds_of_steps(run: Path, visit: Visit) -> None:
    tab = visit(run, page=many(run, 32, 156))
    assert (text(tab, ".status"), text(tab, ".bar output")) == ("32 pictures", "step 155")
    tab.choose("[name=step]", "77")
    assert text(tab, ".bar output") == "step 77"
    open_large(tab)
    assert (len(texts(tab, ".course tbody tr")), len(texts(tab, ".curve circle"))) == (156, 312)


def test_a_run_without_explanations(tmp_path: Path, visit: Visit) -> None:
    with xaicore.open_loggers({"disk": {"root": tmp_path}}, on_error="raise"):
        pass
    assert "Nothing has been explained yet." in text(visit(tmp_path), "body")

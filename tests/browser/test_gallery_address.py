"""The address says what is shown, so that it survives a reload and can be sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import toy_run
from browser import Tab
from reading import row, shown, sources, text, visible
from toy_run import IDS

Visit = Callable[..., Tab]


def address(tab: Tab, part: str) -> str:
    """What is behind the #, once it says this."""
    tab.until(f"decodeURIComponent(location.hash).includes({part!r})")
    return tab.run("location.hash.slice(1)")


def reload(tab: Tab) -> None:
    tab.run("window.old = 1")
    tab.call("Page.reload")
    tab.until("document.readyState === 'complete' && !window.old")
    tab.settle()


CHOICES = {
    "[name=method]": "second",
    "[name=k]": "1",
    "[name=compare]": "step:0",
    "[name=step]": "2",
    "[name=class]": "truth 2",
    "[name=sort]": "worst",
    "[name=search]": "third",
    "[name=wrong]": True,
    "[name=colors]": "magma",
    "[name=opacity]": "0.8",
    "[name=outline]": True,
    "[name=evidence]": True,
    "[name=shared]": True,
}


def test_all_controls_are_kept_over_a_reload(run: Path, visit: Visit) -> None:
    tab = visit(run)
    for control, value in CHOICES.items():
        tab.choose(control, value)
    said = address(tab, "shared=1")
    before = tab.run("document.querySelector('main').innerText")
    reload(tab)
    for control, value in CHOICES.items():
        assert tab.one(control, "e.checked" if isinstance(value, bool) else "e.value") == value, control
    assert tab.run("location.hash.slice(1)") == said
    assert tab.run("document.querySelector('main').innerText") == before
    assert shown(tab) == [IDS[2]] * 2  # side by side
    assert sources(tab, ".face:first-child .heat") == [row(run, IDS[2], 2, "second", 1)["grey"]]


def test_a_comparison_with_the_method_of_the_first_view(run: Path, visit: Visit) -> None:
    """It is offered only where another method is selected, which the address does, too."""
    tab = visit(run, address="group=&sort=logged&method=second&compare=method%3Afirst")
    assert sources(tab, ".face .heat")[:2] == [row(run, IDS[0], 5, method)["grey"] for method in ("second", "first")]


def test_the_first_view_needs_no_address(run: Path, visit: Visit) -> None:
    tab = visit(run, address="")
    tab.choose("[name=wrong]", True)
    address(tab, "wrong=1")
    tab.choose("[name=wrong]", False)
    tab.until("location.hash === ''")


@pytest.mark.parametrize("link", ["id=third.png", "third.png", "third%2Epng"])
def test_a_link_to_one_picture(run: Path, visit: Visit, link: str) -> None:
    tab = visit(run, address=link)
    assert text(tab, "#large h2") == "third.png"
    tab.key("Escape")
    tab.until("location.hash === ''")
    assert not tab.one("dialog", "e.open")


def test_the_open_picture_is_in_the_address(run: Path, visit: Visit) -> None:
    tab = visit(run, address="")
    tab.click(".cell:nth-child(4) .card")
    name = text(tab, "#large h2")
    address(tab, f"id={name.replace(' ', '+')}")
    reload(tab)
    assert text(tab, "#large h2") == name


def test_another_address_is_another_view(run: Path, visit: Visit) -> None:
    """As where the reader edits it, or goes back."""
    tab = visit(run, address="")
    tab.run("location.hash = '#step=1&id=third.png'")
    tab.until("document.querySelector('dialog').open")
    assert (text(tab, "#large h2"), text(tab, "#large output")) == ("third.png", "step 1")
    tab.run("location.hash = '#wrong=1'")
    tab.until("!document.querySelector('dialog').open")
    assert text(tab, ".bar output") == "step 5"
    assert tab.one("[name=wrong]", "e.checked")


@pytest.mark.parametrize("link", ["id=nobody", "%", "method=none&k=99&step=77&colors=%3Cb%3E", "=&=&"])
def test_an_address_that_fits_nothing_shows_the_first_view(run: Path, visit: Visit, link: str) -> None:
    tab = visit(run, address=link)
    assert not visible(tab, "dialog")
    assert text(tab, ".bar output") == "step 5"
    assert tab.one("[name=method]", "e.value") == "first"
    assert len(shown(tab)) == 6


def test_names_of_any_characters_are_linked(tmp_path: Path, visit: Visit) -> None:
    one = toy_run.at_step(5, "first")
    one.save(tmp_path)
    tab = visit(tmp_path, address="")
    tab.click(".cell .card")
    address(tab, "id=")
    reload(tab)
    assert text(tab, "#large h2") == IDS[0]

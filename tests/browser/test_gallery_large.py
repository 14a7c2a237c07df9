"""The large view, and the keys that lead to it and through it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import toy_run
from browser import Tab
from reading import HEATMAP, OVERLAY, STEPS, facts, go_to, open_large, pause_at, row, shown, sources, text, texts
from toy_run import EVIL, IDS

import xaicore

Visit = Callable[..., Tab]

TITLE, STEP = "#large h2", "#large output"


def test_it_shows_all_that_is_known(run: Path, visit: Visit) -> None:
    tab = visit(run)
    go_to(tab, 0)
    open_large(tab, 3)
    one = row(run, IDS[2], 0)
    assert (text(tab, TITLE), text(tab, "#large .where")) == (IDS[2], "3 of 3")
    assert text(tab, "#large .badge") == "✗ wrong: cat, truth: dog"
    loaded = sources(tab, "#large .views img:not([hidden])")
    assert loaded == [one["picture"], one["picture"], one["grey"], one["grey"]]
    assert texts(tab, ".views figcaption") == ["picture", "first for cat", "heatmap"]
    assert facts(tab) == {
        "step": "0",
        "target": "cat (1), asked: top 2",
        "score": f"{one['score']:.3f}",
        "raw score": "2",
        "predicted": "cat (1)",
        "truth": "dog (2)",
        "evidence": "positive",
        "method": "first",
        "layer": "conv",
        "map's maximum": "1",
        "files": "picture overlay heatmap raw map (.npy)",
    }
    links = tab.each(".facts a", "e.getAttribute('href')")
    assert links == [one["picture"], one["overlay"], one["heatmap"], one["map"]]
    assert all((run / link).is_file() for link in links)
    assert tab.each(".views a", "e.getAttribute('href')") == links[:3]


def test_the_curve_has_the_scores_of_all_steps(run: Path, visit: Visit) -> None:
    """Its dots, read back through its axes, and its lines, broken where the target becomes another class."""
    tab = visit(run)
    go_to(tab, 2)
    open_large(tab)
    rows = [row(run, IDS[0], step) for step in STEPS]
    x, y = np.array(tab.each(".curve circle", "[e.cx.baseVal.value, e.cy.baseVal.value]")).T
    rules = tab.each(".curve .rule", "[e.x1.baseVal.value, e.x2.baseVal.value, e.y1.baseVal.value]")
    (left, right, zero), (_, _, one), (_, _, low), (_, _, high) = rules
    np.testing.assert_allclose(x, np.tile(left + (right - left) * np.array(STEPS) / 5, 2), atol=0.01)
    np.testing.assert_allclose((y[:4] - zero) / (one - zero), [r["score"] for r in rows], atol=1e-4)
    raw = [r["raw_score"] for r in rows]
    assert raw == [3, 3, 3, 2]
    np.testing.assert_allclose(2 + (y[4:] - low) / (high - low), raw, atol=1e-4)
    for line in tab.each(".curve path", "e.getAttribute('d')"):
        assert "".join(letter for letter in line if letter in "ML") == "MMLL"  # a cat, then another class
    assert tab.one(".curve .now", "e.x1.baseVal.value") == pytest.approx(x[2])
    assert texts(tab, ".curve .value") == [f"{rows[2]['score']:.3f}", "3", "2"]


def test_the_strip_tells_the_prediction_of_every_step(run: Path, visit: Visit) -> None:
    tab = visit(run)
    open_large(tab)
    assert tab.each(".curve .segment", "[e.dataset.right, e.textContent]") == [
        ["false", "step 0: predicted cat"],
        *(["true", f"step {step}: predicted {EVIL}"] for step in (1, 2, 5)),
    ]


def test_the_table_tells_every_step_and_leads_there(run: Path, visit: Visit) -> None:
    tab = visit(run)
    open_large(tab, 2)
    rows = [row(run, IDS[1], step) for step in STEPS]
    assert tab.each(".course tbody tr", "[...e.cells].map(cell => cell.textContent)") == [
        [str(r["step"]), r["predicted_name"], r["target_name"], f"{r['score']:.3f}", f"{r['raw_score']:g}"]
        for r in rows
    ]
    tab.click(".course tbody tr:nth-child(3) button")
    tab.settle()
    assert text(tab, STEP) == tab.one(".bar output", "e.textContent") == "step 2"
    assert sources(tab, f"{OVERLAY} .heat") == [rows[2]["grey"]]
    assert tab.one("tr[aria-current]", "e.rowIndex") == 3


def test_a_click_on_the_curve_leads_to_the_nearest_step(run: Path, visit: Visit) -> None:
    tab = visit(run)
    open_large(tab)
    tab.click(".curve svg")  # its middle is near 2.6
    assert text(tab, STEP) == "step 2"


def test_it_leads_to_the_next_picture_that_passes_the_filters(run: Path, visit: Visit) -> None:
    tab = visit(run)
    go_to(tab, 0)
    tab.choose("[name=wrong]", True)
    open_large(tab)
    assert tab.each(".previous, .next", "e.disabled") == [True, False]
    tab.click(".next")
    assert text(tab, TITLE) == IDS[2]
    assert tab.each(".previous, .next", "e.disabled") == [False, True]
    tab.click(".previous")
    assert text(tab, TITLE) == IDS[0]


def test_it_leads_to_other_maps_of_the_picture(run: Path, visit: Visit) -> None:
    tab = visit(run)
    go_to(tab, 0)
    open_large(tab, 3)
    maps = [f"{method} · {name}" for method in ("first", "second") for name in ("cat", EVIL)]
    assert texts(tab, ".others span:last-child") == maps
    tab.click(".others li:nth-child(4) button")
    tab.settle()
    assert sources(tab, f"{HEATMAP} .heat") == [row(run, IDS[2], 0, "second", 1)["grey"]]
    assert tab.each("[name=method], [name=k]", "e.value") == ["second", "1"]
    assert texts(tab, ".others [aria-pressed=true] span:last-child") == [maps[3]]


def test_a_picture_stays_open_though_the_filters_leave_it_out(run: Path, visit: Visit) -> None:
    tab = visit(run)
    go_to(tab, 0)
    tab.choose("[name=wrong]", True)
    open_large(tab)
    tab.key("ArrowDown")  # at step 1 it is right
    assert (text(tab, TITLE), text(tab, "#large .where")) == (IDS[0], "left out by the filters")
    tab.key("ArrowRight")
    assert (text(tab, TITLE), text(tab, "#large .where")) == (IDS[2], "1 of 1")


def test_a_place_of_a_changing_group_is_gone_through_by_steps(run: Path, visit: Visit) -> None:
    """It stays open at steps where there is no such place."""
    tab = visit(run)
    tab.choose("[name=group]", "worst")
    go_to(tab, 1)
    for number, title, where in (
        (2, "worst 1 of step 5", "2 of 3"),
        (5, "worst 4 of step 1", "left out by the filters · from step 1"),
    ):
        open_large(tab, number)
        assert (text(tab, TITLE), facts(tab)["group"]) == (f"worst {number - 1} of step 1", "worst")
        tab.key("ArrowDown", times=2)
        assert (text(tab, STEP), text(tab, TITLE), text(tab, "#large .where")) == ("step 5", title, where)
        tab.key("ArrowUp", times=2)
        tab.key("Escape")


def test_what_cannot_be_drawn_has_numbers_and_its_raw_map(tmp_path: Path, visit: Visit) -> None:
    one = toy_run.explanation(np.ones((2, 1, 2, 2, 2, 2)), [[1, 0, 0]] * 2, "first", truth=[0, 1])
    with xaicore.open_loggers({"disk": {"root": tmp_path}}, on_error="raise") as log:
        for step in (1, 2):
            log(one, step)
    tab = visit(tmp_path)
    assert texts(tab, ".cell .note") == ["no picture of this map"] * 2
    open_large(tab)
    assert sources(tab, "img:not([hidden])") == []
    assert tab.each(".views figure", "e.hidden") == [True] * 3
    assert facts(tab)["files"] == "raw map (.npy)"
    assert tab.one("#large .under", "e.hidden")
    assert len(texts(tab, ".curve circle")) == 4


def test_scores_that_are_no_numbers_leave_gaps(tmp_path: Path, visit: Visit) -> None:
    with xaicore.open_loggers({"disk": {"root": tmp_path}}, on_error="raise") as log:
        for step, top in enumerate((2, np.inf, 3)):
            log(toy_run.explanation(np.ones((1, 1, 4, 4)), [[top, 0, 0]], "first"), step)
    tab = visit(tmp_path)
    tab.choose("[name=step]", "1")
    assert texts(tab, ".cell .score") == ["–"]
    open_large(tab)
    assert len(texts(tab, ".curve circle")) == 4  # of two steps
    assert facts(tab)["score"] == "–"


# Keys


def test_the_page_works_by_keys(run: Path, visit: Visit) -> None:
    tab = visit(run)
    for key, step in (("ArrowLeft", 2), (",", 1), (".", 2), ("ArrowRight", 5), ("ArrowRight", 5)):
        tab.key(key)
        assert text(tab, ".bar output") == f"step {step}"
    tab.key("w")
    tab.key(",", times=2)
    tab.settle()
    assert shown(tab) == [IDS[2]]
    tab.key("w")
    tab.key("/")
    assert tab.run("document.activeElement.name") == "search"
    for key in "bw.":
        tab.key(key)  # which are now letters
    assert (tab.one("[name=search]", "e.value"), tab.one("[name=wrong]", "e.checked")) == ("bw.", False)
    assert text(tab, ".bar output") == "step 1"


def test_cards_are_walked_and_opened_by_keys(run: Path, visit: Visit) -> None:
    tab = visit(run, 500)  # two side by side
    tab.one(".card", "e.focus()")
    for key, n in (("ArrowRight", 1), ("ArrowLeft", 0), ("ArrowDown", 2), ("ArrowDown", 2), ("ArrowUp", 0)):
        tab.key(key)
        assert texts(tab, ".card:focus .id") == [IDS[n]]
    assert tab.one(".card:focus", "getComputedStyle(e).outlineWidth") == "3px"
    tab.key("Enter")
    assert tab.one("dialog", "e.open")
    assert tab.run("document.activeElement.className") == "body"
    for key, selector, expected in (
        ("ArrowRight", TITLE, IDS[1]),
        ("ArrowUp", STEP, "step 2"),
        ("ArrowDown", STEP, "step 5"),
    ):
        tab.key(key)
        assert text(tab, selector) == expected
    pause_at(tab, 1)
    tab.key(" ")
    tab.until(f"document.querySelector('{STEP}').textContent === 'step 1'")
    tab.key("Escape")
    tab.settle()
    assert not tab.one("dialog", "e.open")
    assert texts(tab, ".card:focus .id") == [IDS[1]]  # where the reader was last


def test_the_focus_stays_on_its_card_when_the_order_changes(run: Path, visit: Visit) -> None:
    tab = visit(run)
    tab.choose("[name=sort]", "worst")
    tab.settle()
    tab.one(".cell:last-child .card", "e.focus()")  # the first picture, which is the best
    tab.key(",", times=3)  # the worst, now
    tab.settle()
    assert texts(tab, ".cell:first-child .card:focus .id") == [IDS[0]]


def test_tab_reaches_every_control_and_card(run: Path, visit: Visit) -> None:
    tab = visit(run)
    tab.one(".about summary", "e.focus()")
    reached = []
    for _ in range(17):
        tab.key("Tab")
        reached.append(tab.run("document.activeElement.name || document.activeElement.className"))
    expected = (
        "play step search group method k compare class sort wrong evidence outline shared opacity colors card card"
    )
    assert reached == expected.split()

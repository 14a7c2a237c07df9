"""Steps, playing, switches, filters and orders: the right pictures, from the right rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import toy_run
from browser import Tab
from reading import bands, go_to, open_large, over, pause_at, row, shown, sources, text, texts, visible
from toy_run import BANDS, EVIL, IDS, PICTURES

import xaicore
from xaicore_disk.manifest import read_manifest

Visit = Callable[..., Tab]

STEP = "output.step"


def playing(tab: Tab) -> bool:
    return tab.one(".play", "e.getAttribute('aria-label')") == "pause"


def until_step(tab: Tab, step: int) -> None:
    tab.until(f"document.querySelector('{STEP}').textContent === 'step {step}'")


def ids(*numbers: int) -> list[str]:
    return [IDS[n] for n in numbers]


# Steps


def test_the_step_slider_moves_every_picture(run: Path, visit: Visit) -> None:
    tab = visit(run)
    assert text(tab, STEP) == "step 5"  # the newest one
    for step in (0, 2, 1, 5):
        go_to(tab, step)
        assert text(tab, STEP) == f"step {step}"
        assert sources(tab, ".cell .heat") == [row(run, name, step)["grey"] for name in IDS]
        assert sources(tab, ".cell .photo") == [row(run, name, step)["picture"] for name in IDS]
        assert tab.one("[name=step]", "e.getAttribute('aria-valuetext')") == f"step {step}"


def test_it_plays_to_the_end_and_stops(run: Path, visit: Visit) -> None:
    tab = visit(run)
    watch = "new MutationObserver(() => window.told.push(e.textContent)).observe(e, {childList: true})"
    tab.one(STEP, f"(window.told = [], {watch}, 0)")
    tab.click(".play")
    assert playing(tab)
    tab.until("document.querySelector('.play').getAttribute('aria-label') === 'play'")
    assert tab.run("[...new Set(window.told)]") == ["step 0", "step 1", "step 2", "step 5"]
    tab.settle()
    assert sources(tab, ".cell .heat") == [row(run, name)["grey"] for name in IDS]


def test_playing_can_be_paused_and_goes_on_from_there(run: Path, visit: Visit) -> None:
    tab = visit(run)
    pause_at(tab, 1)
    tab.key(" ")
    until_step(tab, 1)
    assert not playing(tab)
    tab.run("new Promise(done => setTimeout(done, 1300))")  # two steps' time
    assert text(tab, STEP) == "step 1"
    tab.key(" ")
    assert playing(tab)
    until_step(tab, 5)


def test_moving_the_slider_ends_playing(run: Path, visit: Visit) -> None:
    tab = visit(run)
    tab.click(".play")
    assert playing(tab)
    tab.choose("[name=step]", "1")
    assert not playing(tab)


def test_a_picture_that_was_not_explained_at_a_step_shows_its_last_map(tmp_path: Path, visit: Visit) -> None:
    with xaicore.open_loggers({"disk": {"root": tmp_path}}, on_error="raise") as log:
        log(toy_run.at_step(1, "first").take([0]), 1)
        log(toy_run.at_step(2, "first").take([0, 1]), 2)
        log(toy_run.at_step(5, "first").take([1]), 5)
    tab = visit(tmp_path)
    assert (shown(tab), texts(tab, ".cell .note")) == (ids(0, 1), ["from step 2", ""])
    open_large(tab)
    assert text(tab, "#large .where") == "1 of 2 · from step 2"
    tab.key("Escape")
    tab.choose("[name=step]", "0")
    assert (shown(tab), texts(tab, ".cell .note")) == (ids(0), [""])


# Switches


@pytest.mark.parametrize(("method", "k"), [("second", 0), ("second", 1), ("first", 1)])
def test_method_and_target_switches(run: Path, visit: Visit, method: str, k: int) -> None:
    tab = visit(run)
    tab.choose("[name=method]", method)
    tab.choose("[name=k]", str(k))
    go_to(tab, 2)
    rows = [row(run, name, 2, method, k) for name in IDS]
    assert sources(tab, ".cell .heat") == [one["grey"] for one in rows]
    assert texts(tab, ".cell .target b") == [one["target_name"] for one in rows]
    assert texts(tab, ".cell .score") == [f"{one['score']:.3f}" for one in rows]
    expected = over(PICTURES[0], BANDS[::-1] if method == "second" else BANDS)
    np.testing.assert_allclose(bands(tab, ".cell .stack"), expected, atol=2)


def test_switches_are_there_where_there_is_something_to_choose(run: Path, tmp_path: Path, visit: Visit) -> None:
    toy_run.at_step(5, "first").save(tmp_path / "a step")
    toy_run.explanation(np.ones((1, 1, 4, 4)), [[1, 0, 0]], "first").save(tmp_path / "a map")
    always = ["class", "sort", "evidence", "outline", "opacity", "colors"]
    everything = ["step", "search", "group", "method", "k", "compare", *always[:2], "wrong", *always[2:4], "shared"]
    for root, expected in (
        (run, [*everything, *always[4:]]),  # but for the layer, and boxes of targets
        (tmp_path / "a step", ["search", "k", "compare", *always[:2], "wrong", *always[2:]]),
        (tmp_path / "a map", ["search", *always]),
    ):
        tab = visit(root)
        there = "[...document.getElementById('controls').elements].filter(e => e.offsetParent && e.name)"
        assert tab.run(f"{there}.map(e => e.name)") == expected


def test_targets_are_called_by_their_class_where_all_have_the_same(run: Path, tmp_path: Path, visit: Visit) -> None:
    tab = visit(run)
    assert texts(tab, "[name=k] option") == ["number 1", "number 2", "true class", "all"]
    one = toy_run.at_step(0, "first").take([0, 1])  # cats, then evil and dog
    one.save(tmp_path)
    assert texts(visit(tmp_path), "[name=k] option") == ["cat", "dog", "all"]


def test_layers_are_those_of_the_method(tmp_path: Path, visit: Visit) -> None:
    one = toy_run.at_step(5, "first")
    with xaicore.open_loggers({"disk": {"root": tmp_path}}, on_error="raise") as log:
        for layer in ("early", "late"):
            log(dataclasses.replace(one, layer=layer))
        log(toy_run.at_step(5, "second"))
    tab = visit(tmp_path, address="group=&compare=")
    assert texts(tab, "[name=layer] option") == ["early", "late"]
    tab.choose("[name=layer]", "late")
    late = [row["grey"] for row in read_manifest(tmp_path) if row["layer"] == "late" and row["k"] == 0]
    assert sources(tab, ".cell .heat") == late
    tab.choose("[name=method]", "second")
    assert texts(tab, "[name=layer] option") == ["conv"]
    assert not visible(tab, "[name=layer]")


def test_pictures_that_change_from_step_to_step(run: Path, visit: Visit) -> None:
    """At steps without any, those of the step before are shown, and never a mixture."""
    tab = visit(run)
    assert texts(tab, "[name=group] option") == ["all", "watched", "worst"]
    tab.choose("[name=group]", "worst")
    tab.settle()
    assert shown(tab) == [f"worst {n} of step 5" for n in range(3)]
    assert sources(tab, ".cell .photo") == [row(run, name, 5)["picture"] for name in shown(tab)]
    assert not visible(tab, "[name=method]")  # there is but one
    go_to(tab, 2)
    assert shown(tab) == [f"worst {n} of step 1" for n in range(5)]
    assert texts(tab, ".cell .note") == ["from step 1"] * 5
    go_to(tab, 0)
    assert shown(tab) == []
    assert visible(tab, "#none")


# Filters and orders


@pytest.mark.parametrize(("step", "wrong"), [(0, (0, 2)), (1, (2,)), (2, (1, 2)), (5, ())])
def test_wrong_only(run: Path, visit: Visit, step: int, wrong: tuple[int, ...]) -> None:
    tab = visit(run)
    go_to(tab, step)
    assert text(tab, ".status") == "3 pictures"
    assert text(tab, "#headline") == ("All 3 right" if not wrong else f"{3 - len(wrong)} of 3 right")
    tab.click("[name=wrong]")
    tab.settle()
    assert shown(tab) == ids(*wrong)
    assert text(tab, ".status") == f"{len(wrong)} of 3 pictures"
    assert visible(tab, "#none") == (not wrong)
    tab.click("[name=wrong]")
    tab.settle()
    assert shown(tab) == ids(0, 1, 2)


def test_classes_filter_by_truth_or_prediction(run: Path, visit: Visit) -> None:
    tab = visit(run)
    go_to(tab, 1)
    groups = tab.each("[name=class] optgroup", "[e.label, [...e.children].map(option => option.text)]")
    assert groups == [["truth is", [EVIL, "cat", "dog"]], ["predicted is", [EVIL, "cat", "dog"]]]
    for choice, expected in (("truth 2", (2,)), ("predicted 0", (0, 2)), ("predicted 2", ()), ("", (0, 1, 2))):
        tab.choose("[name=class]", choice)
        tab.settle()
        assert shown(tab) == ids(*expected)
    tab.choose("[name=class]", "predicted 0")
    tab.choose("[name=wrong]", True)
    for step, expected in ((1, (2,)), (2, (2,)), (0, ())):
        go_to(tab, step)
        assert shown(tab) == ids(*expected)


def test_pictures_with_several_labels(tmp_path: Path, visit: Visit) -> None:
    """The prediction is right where it is one of the labels, and each label finds its pictures."""
    logits = [[3, 1, 0], [0, 2, 1], [1, 2, 0]]  # predicted: 0, 1, 1
    known = {"ids": IDS, "images": toy_run.plain(toy_run.PICTURES), "class_names": ["ant", "bee", "cat"]}
    one = toy_run.explanation(np.ones((3, 1, 4, 4)), logits, "first", **known)
    truth = np.array([[1, 0, 1], [0, 0, 1], [0, 0, 0]], bool)
    dataclasses.replace(one, truth=truth).save(tmp_path)
    tab = visit(tmp_path)
    assert text(tab, "#headline") == "1 of 3 right"
    groups = tab.each("[name=class] optgroup", "[e.label, [...e.children].map(option => option.text)]")
    assert groups == [["truth is", ["ant", "cat"]], ["predicted is", ["ant", "bee"]]]
    for choice, expected in (("truth 2", (0, 1)), ("truth 0", (0,)), ("predicted 0", (0,)), ("", (0, 1, 2))):
        tab.choose("[name=class]", choice)
        tab.settle()
        assert shown(tab) == ids(*expected)
    facts = []
    for number in (1, 2, 3):
        open_large(tab, number)
        pairs = tab.each("#large .facts div", "[e.children[0].textContent, e.children[1].textContent]")
        facts.append((text(tab, "#large .badge"), dict(pairs)["truth"]))
        tab.key("Escape")
        tab.settle()
    assert facts == [
        ("✓ right: ant", "ant, cat (0,2)"),
        ("✗ wrong: bee, truth: cat", "cat (2)"),
        ("✗ wrong: bee, truth: none", "none"),
    ]
    tab.choose("[name=wrong]", True)
    tab.settle()
    assert shown(tab) == ids(1, 2)


def test_pictures_are_found_by_a_piece_of_their_id_or_class(run: Path, visit: Visit) -> None:
    """Of the class that is explained, predicted or true."""
    tab = visit(run)
    go_to(tab, 0)
    for piece, expected in (("dog", (2,)), ("CAT", (0, 1, 2)), ("onclick", (0,))):
        tab.choose("[name=search]", piece)
        tab.settle()
        assert shown(tab) == ids(*expected), piece
    go_to(tab, 5)
    for piece, expected in (("ALERT(", (0,)), ("bbb", (1,)), ("png ", (0, 2)), ("z", ())):
        tab.choose("[name=search]", piece)
        tab.settle()
        assert shown(tab) == ids(*expected)


def test_the_worst_come_first(run: Path, visit: Visit) -> None:
    """Wrong and sure of it, wrong, right but unsure, right; whatever the target is."""
    tab = visit(run)
    tab.choose("[name=sort]", "worst")
    for step, expected in ((0, (0, 2, 1)), (1, (2, 1, 0)), (2, (2, 1, 0)), (5, (2, 1, 0))):
        go_to(tab, step)
        assert shown(tab) == ids(*expected), step
    tab.choose("[name=sort]", "logged")
    tab.settle()
    assert shown(tab) == ids(0, 1, 2)


def test_the_worst_are_known_by_the_truths_own_score_too(tmp_path: Path, visit: Visit) -> None:
    """All are wrong, and the truth, which is explained, has less and less of the probability."""
    logits = [[1, 0.5, 0], [3, 0.5, 0], [2, 0.5, 0]]
    one = toy_run.explanation(np.ones((3, 2, 4, 4)), logits, "first", truth=[1, 1, 1], ids=IDS)
    one.save(tmp_path)
    tab = visit(tmp_path)
    tab.choose("[name=k]", "1")
    assert set(texts(tab, ".target b")) == {"class 1"}
    tab.choose("[name=sort]", "worst")
    tab.settle()
    assert shown(tab) == ids(1, 2, 0)

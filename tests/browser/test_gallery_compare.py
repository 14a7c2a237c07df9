"""Maps of each picture side by side: by run, method, layer, target and step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import test_gallery_frames as frames
import toy_run
from browser import Tab
from reading import bands, go_to, open_large, over, row, shown, sources, texts, visible
from toy_run import BANDS, EVIL, IDS, PICTURES

import xaicore

Visit = Callable[..., Tab]

LEFT, RIGHT = ".face:first-child", ".face:nth-child(2)"


def options(tab: Tab) -> dict[str, list[str]]:
    return dict(tab.each("[name=compare] optgroup", "[e.label, [...e.children].map(option => option.text)]"))


def test_it_offers_what_the_run_has(run: Path, tmp_path: Path, visit: Visit) -> None:
    assert options(visit(run)) == {
        "another method": ["second"],
        "another target": ["number 2", "true class"],
        "a fixed step": ["step 0", "step 1", "step 2", "step 5"],
    }
    toy_run.explanation(np.ones((1, 1, 4, 4)), [[1, 0, 0]], "first").save(tmp_path)
    assert not visible(visit(tmp_path), "[name=compare]")


def test_two_methods(run: Path, visit: Visit) -> None:
    tab = visit(run, 1000)
    tab.choose("[name=compare]", "method:second")
    tab.settle()
    for step in (5, 1):
        go_to(tab, step)
        assert sources(tab, f"{LEFT} .heat") == [row(run, name, step)["grey"] for name in IDS]
        assert sources(tab, f"{RIGHT} .heat") == [row(run, name, step, "second")["grey"] for name in IDS]
    np.testing.assert_allclose(bands(tab, f"{LEFT} .stack"), over(PICTURES[0], BANDS), atol=2)
    np.testing.assert_allclose(bands(tab, f"{RIGHT} .stack"), over(PICTURES[0], BANDS[::-1]), atol=2)
    assert texts(tab, ".cell:first-child .tag") == ["first", "second"]
    left, right = tab.box(f"{LEFT} .stack"), tab.box(f"{RIGHT} .stack")
    assert (left[1], left[3], left[0] + left[2] + 1) == (right[1], right[3], right[0])  # in line, a pixel between
    tab.choose("[name=compare]", "")
    assert texts(tab, ".tag") == ["first"] * 3  # the run has another one


def test_two_steps(run: Path, visit: Visit) -> None:
    tab = visit(run)
    tab.choose("[name=compare]", "step:0")
    tab.settle()
    assert sources(tab, f"{RIGHT} .heat") == [row(run, name, 0)["grey"] for name in IDS]
    assert texts(tab, ".cell:first-child .tag") == ["step 5", "step 0"]
    assert texts(tab, ".note") == [""] * 6
    assert texts(tab, f"{RIGHT} .verdict")[1:] == ["✓ right", "✗ truth: dog"]
    go_to(tab, 2)
    assert sources(tab, f"{LEFT} .heat") == [row(run, name, 2)["grey"] for name in IDS]
    assert sources(tab, f"{RIGHT} .heat") == [row(run, name, 0)["grey"] for name in IDS]


def test_two_targets_at_one_scale_each(run: Path, visit: Visit) -> None:
    tab = visit(run)
    tab.choose("[name=compare]", "k:1")
    tab.settle()
    assert sources(tab, f"{RIGHT} .heat") == [row(run, name, k=1)["grey"] for name in IDS]
    tab.choose("[name=shared]", True)  # the maximum over the steps is 8 of the first target, and 3 of the second
    np.testing.assert_allclose(bands(tab, f"{LEFT} .stack"), over(PICTURES[0], BANDS), atol=3)
    np.testing.assert_allclose(bands(tab, f"{RIGHT} .stack"), over(PICTURES[0], np.array(BANDS) / 3), atol=3)


def test_methods_at_different_layers_and_a_picture_that_only_one_has(tmp_path: Path, visit: Visit) -> None:
    with xaicore.open_loggers({"disk": {"root": tmp_path}}, on_error="raise", quiet=True) as log:
        log(dataclasses.replace(toy_run.at_step(5, "first"), layer="early"))
        log(dataclasses.replace(toy_run.at_step(5, "second").take([0, 1]), layer="late"))
    tab = visit(tmp_path)
    tab.choose("[name=compare]", "method:second")
    tab.settle()
    assert sources(tab, f"{RIGHT}:not(.lacking) .heat") == [
        row(tmp_path, name, None, "second")["grey"] for name in IDS[:2]
    ]
    assert tab.each(RIGHT, "getComputedStyle(e, '::after').content") == ["none", "none", '"no such map"']
    assert shown(tab)[0] == IDS[0]


def test_pictures_of_changing_groups_have_no_fixed_step(run: Path, visit: Visit) -> None:
    """The picture at this position was another one at another step."""
    tab = visit(run)
    tab.choose("[name=group]", "worst")
    tab.choose("[name=compare]", "step:1")
    assert tab.each(RIGHT, "e.className") == ["face lacking"] * 3


def test_clips_show_the_same_frame_twice(tmp_path: Path, visit: Visit) -> None:
    frames.save(tmp_path, frames.strip(), dataclasses.replace(frames.strip(), method="other"))
    tab = visit(tmp_path)
    tab.choose("[name=compare]", "step:0")
    tab.choose(frames.SLIDER, "3")
    assert texts(tab, ".cell .label") == ["frame 3", "frame 3"]
    assert len(texts(tab, ".cell .player")) == 1


def test_it_fits_in_a_narrow_window(run: Path, visit: Visit) -> None:
    tab = visit(run, 420, address="compare=method%3Asecond")
    assert tab.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert min(tab.each(".face", "e.offsetWidth")) > 180


# The first view


def test_few_pictures_open_with_all_methods_side_by_side(tmp_path: Path, visit: Visit) -> None:
    names = ("first", "second", "third")
    xaicore.Comparison({name: toy_run.at_step(5, name) for name in names}).save(tmp_path)
    tab = visit(tmp_path)
    assert texts(tab, ".cell:first-child .tag") == list(names)
    expected = [row(tmp_path, IDS[0], None, name)["grey"] for name in names]
    assert sources(tab, ".cell:first-child .heat") == expected
    assert tab.one("[name=compare]", "e.value") == "method:*"
    assert texts(tab, "[name=compare] option") == [
        "nothing",
        "second",
        "third",
        "all methods",
        "number 2",
    ]
    tops = tab.each(".cell:first-child .stack", "e.getBoundingClientRect().top")
    assert len(set(tops)) == 1
    tab.choose("[name=method]", "second")
    assert texts(tab, ".cell:first-child .tag") == ["second", "first", "third"]
    tab.choose("[name=compare]", "")
    assert texts(tab, ".tag") == ["second"] * 3


def test_few_pictures_open_with_all_layers_side_by_side(tmp_path: Path, visit: Visit) -> None:
    one = toy_run.at_step(5, "first")
    xaicore.Comparison({"a": dataclasses.replace(one, layer="early"), "b": one}).save(tmp_path)
    assert texts(visit(tmp_path), ".cell:first-child .tag") == ["early", "conv"]


def test_many_pictures_open_with_one_map_each(tmp_path: Path, visit: Visit) -> None:
    with xaicore.open_loggers({"disk": {"root": tmp_path}}, on_error="raise", quiet=True) as log:
        for n in range(3):  # nine pictures
            for method in ("first", "second"):
                one = toy_run.at_step(5, method)
                log(dataclasses.replace(one, ids=tuple(f"{n} {name}" for name in one.ids)))
    tab = visit(tmp_path)
    assert (tab.one("[name=compare]", "e.value"), texts(tab, ".tag")) == ("", ["first"] * 9)


def test_a_run_that_is_opened_again_shows_what_was_logged_last(tmp_path: Path, visit: Visit) -> None:
    """Such as the maps of another model, whose layer has another name."""
    for layer in ("old", "new"):
        one = dataclasses.replace(toy_run.at_step(5, "first"), layer=layer)
        one.save(tmp_path)
    tab = visit(tmp_path, address="compare=")
    assert tab.one("[name=layer]", "e.value") == "new"
    assert texts(tab, "[name=layer] option") == ["old", "new"]
    toy_run.at_step(5, "second").save(tmp_path)
    assert tab.run("location.reload()") is None
    tab = visit(tmp_path, address="compare=")
    assert tab.each("[name=method], [name=layer]", "e.value") == ["second", "conv"]


# The large view


LARGE = "#large .views figure:not([hidden])"


def test_the_large_view_has_both_maps(run: Path, visit: Visit) -> None:
    tab = visit(run, address="group=&sort=logged&compare=method%3Asecond")
    open_large(tab, 1)
    one, other = (row(run, IDS[0], 5, method) for method in ("first", "second"))
    assert sources(tab, f"{LARGE} .heat:not([hidden])") == [one["grey"], other["grey"]]
    name, score, again = EVIL, f"{one['score']:.3f}", f"{other['score']:.3f}"
    captions = [f"first {name} {score} ✓ right", f"second {name} {again} ✓ right"]
    assert texts(tab, f"{LARGE} figcaption") == ["picture", *captions]
    np.testing.assert_allclose(bands(tab, "#large .overlay .stack"), over(PICTURES[0], BANDS), atol=2)
    np.testing.assert_allclose(bands(tab, "#large .other .stack"), over(PICTURES[0], BANDS[::-1]), atol=2)
    tops = tab.each(f"{LARGE} .stack", "e.getBoundingClientRect().top")
    assert len(tops) == 3
    assert len(set(tops)) == 1
    assert tab.each(f"{LARGE} a", "e.getAttribute('href')") == [one["picture"], one["overlay"], other["overlay"]]
    assert texts(tab, "#large .legend .top") == ["each map's own maximum"]
    tab.key("ArrowRight")
    tab.settle()
    assert sources(tab, "#large .other .heat") == [row(run, IDS[1], 5, "second")["grey"]]
    tab.key("Escape")
    tab.choose("[name=compare]", "")
    open_large(tab, 1)
    assert texts(tab, f"{LARGE} figcaption") == ["picture", f"first for {EVIL}", "heatmap"]


def test_the_large_view_says_where_there_is_no_second_map(tmp_path: Path, visit: Visit) -> None:
    with xaicore.open_loggers({"disk": {"root": tmp_path}}, on_error="raise", quiet=True) as log:
        log(toy_run.at_step(5, "first"))
        log(toy_run.at_step(5, "second").take([0]))
    tab = visit(tmp_path)
    open_large(tab, 3)
    assert texts(tab, f"{LARGE} figcaption")[2] == "second no such map"


def test_the_large_view_leaves_out_what_cannot_be_drawn(tmp_path: Path, visit: Visit) -> None:
    one = toy_run.explanation(np.ones((1, 1, 2, 2, 2, 2)), [[1, 0, 0]], "first")
    xaicore.Comparison({name: dataclasses.replace(one, method=name) for name in ("first", "second")}).save(tmp_path)
    tab = visit(tmp_path)
    assert texts(tab, ".cell .note") == ["no picture of this map"] * 2
    open_large(tab)
    assert tab.each(".views figure", "e.hidden") == [True] * 4


def test_the_large_view_shows_the_same_frame_twice(tmp_path: Path, visit: Visit) -> None:
    frames.save(tmp_path, frames.strip(), dataclasses.replace(frames.strip(), method="other"))
    tab = visit(tmp_path, address="compare=method%3Aother")
    open_large(tab, 1)
    before = tab.each(f"{LARGE} .stack", "e.style.getPropertyValue('--column')")
    tab.key("l")
    after = tab.each(f"{LARGE} .stack", "e.style.getPropertyValue('--column')")
    assert (len(before), len(set(before)), len(set(after))) == (3, 1, 1)
    assert before != after

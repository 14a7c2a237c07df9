"""Two runs side by side: pictures matched by their ids, what both say of them, and where they differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy_run
from browser import Tab
from reading import bands, open_large, over, shown, sources, text, texts, visible
from toy_run import BANDS, IDS, PICTURES

import xaicore
from xaicore_disk.logger import DiskLogger
from xaicore_disk.manifest import read_manifest

Visit = Callable[..., Tab]

LEFT, RIGHT = ".face:first-child", ".face:nth-child(2)"


def log(root: Path, *explanations: xaicore.Explanation, steps: Any = (None,)) -> Path:
    with xaicore.open_loggers({"disk": {"root": root}}, name=root.name, on_error="raise", quiet=True) as loggers:
        for step in steps:
            for one in explanations:
                loggers(one, step)
    return root


def greys(root: Path, folder: str, method: str = "first") -> dict[str, str]:
    """{id: the link to its first map}."""
    return {r["id"]: folder + r["grey"] for r in read_manifest(root) if r["k"] == 0 and r["method"] == method}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two runs: `good` is right on all pictures; `bad 1%` has mirrored maps, and lacks the last picture."""
    root = tmp_path_factory.mktemp("two")
    log(root / "good", toy_run.at_step(5, "first"), toy_run.at_step(5, "second"))
    mirrored = dataclasses.replace(toy_run.at_step(2, "second").take([0, 1]), method="first", layer="late")
    log(root / "bad 1%", mirrored)
    DiskLogger(root / "page").join([root / "good", root / "bad 1%"])
    return root


def test_it_opens_with_both_runs_side_by_side(runs: Path, visit: Visit) -> None:
    tab = visit(runs, page="page/index.html")
    assert texts(tab, ".cell:first-child .tag") == ["good", "bad 1%"]
    left, right = greys(runs / "good", "../good/"), greys(runs / "bad 1%", "../bad%201%25/")
    assert sources(tab, f"{LEFT} .heat") == [left[name] for name in IDS]
    assert sources(tab, f"{RIGHT}:not(.lacking) .heat") == [right[name] for name in IDS[:2]]
    assert tab.each(RIGHT, "e.classList.contains('lacking')") == [False, False, True]
    np.testing.assert_allclose(bands(tab, f"{LEFT} .stack"), over(PICTURES[0], BANDS), atol=2)
    np.testing.assert_allclose(bands(tab, f"{RIGHT} .stack"), over(PICTURES[0], BANDS[::-1]), atol=2)
    assert min(tab.each(".cell img:not([hidden])[src]", "e.naturalWidth")) > 0  # links lead from the page's folder


def test_the_title_counts_for_each_run(runs: Path, visit: Visit) -> None:
    tab = visit(runs, page="page/index.html")
    assert text(tab, "#headline") == "good: 3 of 3 right, bad 1%: 1 of 2"
    assert text(tab, "#story") == "Only good is right on 1 picture."
    tab.choose("[name=compare]", "")
    assert text(tab, "#headline") == "All 3 right"
    tab.choose("[name=run]", "1")
    assert text(tab, "#headline") == "1 of 2 right"


def test_pictures_of_which_one_run_is_wrong_come_first(runs: Path, visit: Visit) -> None:
    tab = visit(runs, page="page/index.html", address="")
    assert shown(tab)[0] == IDS[1]  # a cat, which `bad 1%` takes for a dog
    tab.choose("[name=sort]", "logged")
    tab.settle()
    assert shown(tab)[0] == IDS[0]


def test_where_one_is_right_comes_before_where_both_are_wrong(tmp_path: Path, visit: Visit) -> None:
    one = toy_run.at_step(0, "first")  # all are cats, and the second one is
    outputs = np.array([[0, 1, 3], [0, 3, 1], [0, 1, 3]], np.float32)  # the others are dogs, and the third one is
    log(tmp_path / "a", one)
    log(tmp_path / "b", dataclasses.replace(one, outputs=outputs, predicted=outputs.argmax(axis=1)))
    DiskLogger().join([tmp_path])
    tab = visit(tmp_path, address="")
    assert shown(tab)[::2] == [IDS[2], IDS[0], IDS[1]]  # the id stands at the first map of each, and at the second
    assert text(tab, "#headline") == "a: 1 of 3 right, b: 2 of 3"
    assert text(tab, "#story") == "Only b is right on 1 picture."


@pytest.mark.parametrize(
    ("a", "b", "headline"),
    [
        ("right", "unknown", "a: 3 of 3 right"),
        ("wrong", "wrong", "a: 0 of 3 right, b: 0 of 3"),
        ("unknown", "unknown", "3 pictures"),
    ],
)
def test_what_is_not_known_of_two_runs_is_not_told(tmp_path: Path, visit: Visit, a: str, b: str, headline: str) -> None:
    one = toy_run.at_step(5, "first")
    truth = {"right": one.predicted, "wrong": (one.predicted + 1) % 3, "unknown": None}
    for name, known in (("a", a), ("b", b)):
        log(tmp_path / name, dataclasses.replace(one, truth=truth[known]))
    DiskLogger().join([tmp_path])
    tab = visit(tmp_path)
    assert text(tab, "#headline") == headline
    assert "right" not in text(tab, "#story")


def test_another_run_has_methods_and_layers_of_its_own(runs: Path, visit: Visit) -> None:
    tab = visit(runs, page="page/index.html")
    tab.choose("[name=method]", "second")
    tab.settle()
    right = greys(runs / "bad 1%", "../bad%201%25/")
    assert sources(tab, f"{RIGHT}:not(.lacking) .heat") == [right[name] for name in IDS[:2]]  # its only method
    tab.choose("[name=run]", "1")
    tab.settle()
    assert texts(tab, "[name=layer] option") == ["late"]
    assert len(shown(tab)) == 2


def test_a_card_opens_to_both_runs_and_to_the_maps_of_all(runs: Path, visit: Visit) -> None:
    tab = visit(runs, page="page/index.html")
    open_large(tab, 1)
    assert [one.split()[0] for one in texts(tab, "#large .views figure:not([hidden]) figcaption")[1:]] == [
        "good",
        "bad",
    ]
    assert [one.split(" · ")[0] for one in texts(tab, ".others span:last-child")] == ["good"] * 4 + ["bad 1%"] * 2
    tab.click(".others li:last-child button")
    tab.settle()
    assert tab.one("[name=run]", "e.value") == "1"
    assert texts(tab, ".others [aria-pressed=true] span:last-child")[0].startswith("bad 1% · first · late")
    link = tab.one(".facts a", "e.getAttribute('href')")
    assert link.startswith("../bad%201%25/pictures/")


def test_a_single_run_offers_no_runs(run: Path, visit: Visit) -> None:
    tab = visit(run)
    assert not visible(tab, "[name=run]")
    assert "differ" not in tab.each("[name=sort] option:not([hidden])", "e.value")


def test_runs_of_other_steps_show_their_newest_so_far(tmp_path: Path, visit: Visit) -> None:
    one = toy_run.at_step(5, "first")
    log(tmp_path / "long", one, steps=(1, 2, 3))
    log(tmp_path / "short", one, steps=(2,))
    DiskLogger().join([tmp_path])
    tab = visit(tmp_path)
    assert texts(tab, f".cell:first-child {RIGHT} .note") == ["from step 2"]
    tab.choose("[name=step]", "0")
    assert tab.each(RIGHT, "e.className") == ["face lacking"] * 3


def test_a_run_without_maps_is_not_offered(tmp_path: Path, visit: Visit) -> None:
    log(tmp_path / "a")
    for name in ("b", "c"):
        log(tmp_path / name, toy_run.at_step(5, "first"))
    DiskLogger().join([tmp_path])
    tab = visit(tmp_path)
    assert texts(tab, "[name=run] option") == ["b", "c"]
    assert texts(tab, ".cell:first-child .tag") == ["b", "c"]


def test_runs_of_other_pictures_open_one_by_one(tmp_path: Path, visit: Visit) -> None:
    one = toy_run.at_step(5, "first")
    log(tmp_path / "a", one)
    log(tmp_path / "b", dataclasses.replace(one, ids=("x", "y", "z")))
    with pytest.warns(RuntimeWarning, match="no picture of 'b' is in 'a'"):
        DiskLogger().join([tmp_path])
    tab = visit(tmp_path)
    assert tab.one("[name=compare]", "e.value") == ""
    tab.choose("[name=run]", "1")
    assert shown(tab) == ["x", "y", "z"]

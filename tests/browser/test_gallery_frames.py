"""Clips, whose frames are played, and views without an order: which part of a strip is shown, and when."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import explanations
import numpy as np
import pytest
from browser import Tab
from reading import OVERLAY, heat, open_large, over, seen, sources, text, texts, visible
from toy_run import SIZE

import xaicore
from xaicore_disk import gallery
from xaicore_disk.manifest import read_manifest

Visit = Callable[..., Tab]

SHARES = (0.25, 1.0, 0.5, 0.0)
"""The evidence in each frame, the same everywhere in it."""
COLORS = ((200, 0, 150), (0, 120, 255), (90, 90, 90), (20, 160, 60))
FRAMES = tuple(f"frame {i}" for i in range(4))
LABEL, PLAY, SLIDER = ".cell .label", ".cell .player .play", ".cell .player input"
BOX = "(b => [b.x, b.y, b.width, b.height])(e.getBoundingClientRect())"
LARGE_PLAY, PARTS = "#large .player .play", "#large .parts button"


def strip(
    names: tuple[str, ...] = FRAMES, frames: int = 4, count: int = 1, maximum: float = 3.0, **known: Any
) -> xaicore.Explanation:
    """Clips of the same views; the view v has the colour and the evidence v."""
    order = [v % len(SHARES) for v in range(len(names))]
    maps = maximum * np.broadcast_to(np.array(SHARES)[order][:, None, None], (count, 1, len(names), *SIZE))
    pictures = np.broadcast_to(np.array(COLORS, np.uint8)[order][:, None, None], (count, len(names), *SIZE, 3))
    known = {"ids": [f"clip {n}" for n in range(count)], "class_names": ["ant", "bee", "cat", "dog"], **known}
    return explanations.strip(maps, pictures, names, frames, **known)


def save(root: Path, *steps: xaicore.Explanation) -> Path:
    with xaicore.open_loggers({"disk": {"root": root}}, on_error="raise", quiet=True) as log:
        for step, one in enumerate(steps):
            log(one, step if len(steps) > 1 else None)
    return root


def expected(v: int, opacity: float = 0.7) -> np.ndarray:
    return over(COLORS[v], (SHARES[v],), opacity)[0]


def until(tab: Tab, name: str, selector: str = LABEL) -> None:
    tab.until(f"document.querySelector('{selector}').textContent === '{name}'")


def pause_at(tab: Tab, name: str) -> None:
    """Pause in the moment in which playing reaches a frame, however slow the machine is."""
    pause = f"document.querySelector('{PLAY}').click()"
    watch = f"(_, watcher) => e.textContent === '{name}' && (watcher.disconnect(), {pause})"
    tab.one(LABEL, f"(new MutationObserver({watch}).observe(e, {{childList: true}}), 0)")


def plays(tab: Tab, selector: str = PLAY) -> list[bool]:
    return [name.startswith("pause") for name in tab.each(selector, "e.getAttribute('aria-label')")]


def wait(tab: Tab, milliseconds: int) -> None:
    tab.run(f"new Promise(done => setTimeout(done, {milliseconds}))")


# Cards


@pytest.mark.parametrize("shape", [(112, 112), (101, 75)])
def test_no_pixel_of_a_neighbour_is_at_the_edges_of_a_frame(
    tmp_path: Path, visit: Visit, shape: tuple[int, int]
) -> None:
    """Also where a card begins or ends between two pixels of the screen."""
    pictures = np.zeros((2, 4, *shape, 3), np.uint8)
    pictures[:, (0, 2)] = 255  # each frame differs from its neighbours
    one = explanations.strip(np.zeros((2, 1, 4, *shape)), pictures, FRAMES, 4, ids=["a", "b"])
    save(tmp_path, one)
    tab = visit(tmp_path, 403)
    for n in (1, 2):
        tab.choose(f".cell:nth-child({n}) .player input", "1")
    for width in (403, 985, 1276):
        tab.resize(width, 900)
        tab.settle()
        screen = tab.screenshot().astype(int)
        for x, y, across, down in tab.each(".cell .stage .stack", BOX):
            line = screen[int(y + 0.7 * down), int(np.ceil(x)) : int(x + across)]
            assert np.abs(line - pictures[0, 1, 0, 0]).max() <= 2, (width, x)


def test_a_card_shows_the_frame_with_the_most_evidence_above_the_strip_of_all(tmp_path: Path, visit: Visit) -> None:
    tab = visit(save(tmp_path, strip()), 500)
    (row,) = read_manifest(tmp_path)
    assert texts(tab, LABEL) == ["frame 1"]
    assert tab.one(".cell .photo", "e.alt") == f"given for {row['target_name']} over clip 0, frame 1"
    assert set(sources(tab, ".cell .heat")) == {row["grey"]}
    for across in (0.03, 0.5, 0.97):  # nothing of the neighbours
        np.testing.assert_allclose(seen(tab, ".stage .stack", across), expected(1), atol=2)
    left, _, width, _ = tab.box(".film .stack")
    assert width >= 150
    assert left >= 0
    for v in range(4):
        np.testing.assert_allclose(seen(tab, ".film .stack", (v + 0.5) / 4), expected(v), atol=2)
    mark, _, marked, _ = tab.box(".film i")
    assert (mark - left, marked) == (pytest.approx(width / 4, abs=1), pytest.approx(width / 4, abs=1))


@pytest.mark.parametrize("v", range(4))
def test_the_slider_goes_to_a_frame(tmp_path: Path, visit: Visit, v: int) -> None:
    tab = visit(save(tmp_path, strip(count=2)))
    tab.choose(SLIDER, str(v))
    tab.settle()
    assert texts(tab, LABEL) == [FRAMES[v], "frame 1"]  # of its own clip
    assert tab.each(SLIDER, "e.getAttribute('aria-valuetext')") == [FRAMES[v], "frame 1"]
    np.testing.assert_allclose(seen(tab, ".stage .stack", 0.5), expected(v), atol=2)
    assert not tab.one("#large", "e.open")


def test_the_slider_takes_arrow_keys(tmp_path: Path, visit: Visit) -> None:
    tab = visit(save(tmp_path, strip(count=2), strip(count=2)))
    tab.one(SLIDER, "e.focus()")
    tab.key("ArrowRight")
    assert (texts(tab, LABEL)[0], text(tab, ".bar output")) == ("frame 2", "step 1")
    tab.key("ArrowLeft", times=2)
    assert texts(tab, LABEL) == ["frame 0", "frame 1"]


def test_a_clip_plays_round_and_round_until_it_is_paused(tmp_path: Path, visit: Visit) -> None:
    tab = visit(save(tmp_path, strip(count=2)))
    assert plays(tab) == [False, False]
    tab.click(PLAY)
    assert plays(tab) == [True, False]
    for name in ("frame 2", "frame 3", "frame 0", "frame 1"):
        until(tab, name)
    pause_at(tab, "frame 3")
    until(tab, "frame 3")
    assert plays(tab) == [False, False]
    wait(tab, 700)
    assert texts(tab, LABEL) == ["frame 3", "frame 1"]
    assert not tab.one("#large", "e.open")  # the player is no part of the card's link
    np.testing.assert_allclose(seen(tab, ".stage .stack", 0.5), expected(3), atol=2)


def test_moving_the_slider_ends_playing(tmp_path: Path, visit: Visit) -> None:
    tab = visit(save(tmp_path, strip()))
    tab.click(PLAY)
    tab.choose(SLIDER, "0")
    assert plays(tab) == [False]
    wait(tab, 600)
    assert texts(tab, LABEL) == ["frame 0"]


def test_with_reduced_motion_a_clip_plays_once_and_slowly(tmp_path: Path, visit: Visit) -> None:
    tab = visit(save(tmp_path, strip()), prefers_reduced_motion="reduce")
    start = tab.run("performance.now()")
    tab.click(PLAY)
    until(tab, "frame 3")
    assert tab.run("performance.now()") - start > 1100  # two frames of 600 ms
    assert plays(tab) == [False]
    wait(tab, 800)
    assert texts(tab, LABEL) == ["frame 3"]
    tab.click(PLAY)
    assert texts(tab, LABEL) == ["frame 0"]


def test_frames_by_keys(tmp_path: Path, visit: Visit) -> None:
    """Those of the card with the focus, else those of all."""
    tab = visit(save(tmp_path, strip(count=2)))
    tab.key("l")
    assert texts(tab, LABEL) == ["frame 2", "frame 2"]
    tab.key("j", times=5)
    assert texts(tab, LABEL) == ["frame 0", "frame 0"]
    tab.key("k")
    assert plays(tab) == [True, True]
    tab.key("k")
    assert plays(tab) == [False, False]
    tab.one(".cell:nth-child(2) .card", "e.focus()")
    at = texts(tab, LABEL)[0]
    tab.key("l", times=4)
    assert texts(tab, LABEL) == [at, "frame 3"]
    tab.key("k")
    assert plays(tab) == [False, True]
    tab.key("k")


def test_space_plays_frames_where_there_are_no_steps(tmp_path: Path, visit: Visit) -> None:
    tab = visit(save(tmp_path / "one", strip()))
    assert visible(tab, "details summary")
    tab.key(" ")
    assert plays(tab) == [True]
    tab.key(" ")
    assert plays(tab) == [False]
    tab = visit(save(tmp_path / "two", strip(), strip()))
    tab.key(" ")
    assert (plays(tab), plays(tab, ".bar .play")) == ([False], [True])


def test_the_frame_stays_where_steps_and_filters_change(tmp_path: Path, visit: Visit) -> None:
    tab = visit(save(tmp_path, strip(count=2), strip(count=2, maximum=8.0)))
    rows = read_manifest(tmp_path)
    tab.choose(SLIDER, "2")
    tab.choose("[name=step]", "0")
    tab.settle()
    assert texts(tab, LABEL) == ["frame 2", "frame 1"]
    assert sources(tab, ".stage .heat") == [row["grey"] for row in rows if row["step"] == 0]
    tab.choose("[name=shared]", True)
    tab.settle()
    np.testing.assert_allclose(seen(tab, ".stage .stack", 0.5), over(COLORS[2], (0.5 * 3 / 8,))[0], atol=2)
    tab.choose("[name=search]", "clip 1")
    tab.settle()
    assert texts(tab, LABEL) == ["frame 1"]
    tab.choose("[name=search]", "")
    tab.settle()
    assert texts(tab, LABEL) == ["frame 2", "frame 1"]


def test_several_inputs_of_a_frame_are_shown_together(tmp_path: Path, visit: Visit) -> None:
    names = tuple(f"frame {i}, {side}" for i in (0, 1) for side in ("left", "right"))
    tab = visit(save(tmp_path, strip(names, frames=2)))
    assert texts(tab, LABEL) == ["frame 0, left | frame 0, right"]
    for part in (0, 1):
        tab.choose(SLIDER, str(part))
        tab.settle()
        for side in (0, 1):
            found = seen(tab, ".stage .stack", 0.25 + 0.5 * side)
            np.testing.assert_allclose(found, expected(2 * part + side), atol=2)


# Views


@pytest.mark.parametrize("count", [2, 4])
def test_views_without_an_order_lie_side_by_side_and_are_not_played(tmp_path: Path, visit: Visit, count: int) -> None:
    names = ("left", "<b>right</b>", "above", "below")[:count]
    tab = visit(save(tmp_path, strip(names, frames=1)))
    assert texts(tab, LABEL) == list(names)
    assert texts(tab, ".cell .player, .cell .film") == []
    assert not visible(tab, "[data-needs=frames]")
    boxes = tab.each(".stage .stack", "(b => [b.x, b.y, b.width, b.height])(e.getBoundingClientRect())")
    shot = tab.screenshot()
    for v, (x, y, width, height) in enumerate(boxes):
        assert width / height == pytest.approx(SIZE[1] / SIZE[0], rel=0.03)
        np.testing.assert_allclose(shot[int(y + height * 0.75), int(x + width / 2)], expected(v), atol=2)
    open_large(tab)
    assert texts(tab, f"{PARTS} .name") == list(names)
    assert not visible(tab, LARGE_PLAY)


# The large view


def test_the_large_view_has_the_strip_with_names_and_evidence(tmp_path: Path, visit: Visit) -> None:
    tab = visit(save(tmp_path, strip()))
    open_large(tab)
    assert texts(tab, f"{PARTS} .name") == list(FRAMES)
    assert tab.each(PARTS, "e.getAttribute('aria-current')") == ["false", "true", "false", "false"]
    shares = tab.each(f"{PARTS} .meter i", "e.offsetWidth / e.parentElement.offsetWidth")
    np.testing.assert_allclose(shares, SHARES, atol=0.02)
    for v in range(4):
        found = seen(tab, f"#large .parts li:nth-child({v + 1}) .stack", 0.5)
        np.testing.assert_allclose(found, expected(v), atol=2)
    for v in (3, 0, 2):
        tab.click(f"#large .parts li:nth-child({v + 1}) button")
        tab.settle()
        np.testing.assert_allclose(seen(tab, "#large .views .photo .stack", 0.5), COLORS[v], atol=1)
        np.testing.assert_allclose(seen(tab, OVERLAY, 0.5), expected(v), atol=2)
        np.testing.assert_allclose(seen(tab, "#large .heatmap .stack", 0.5), heat((SHARES[v],))[0], atol=2)
        assert texts(tab, "#large .views figcaption")[0] == text(tab, "#large .player .frame") == FRAMES[v]
    tab.key("Escape")
    assert texts(tab, LABEL) == ["frame 2"]


def test_the_large_view_plays(tmp_path: Path, visit: Visit) -> None:
    """The strip is not built anew, so that a button of it keeps the focus."""
    tab = visit(save(tmp_path, strip(count=2)))
    open_large(tab)
    tab.one(PARTS, "e.focus()")
    tab.key("k")
    assert plays(tab, LARGE_PLAY) == [True]
    for name in ("frame 2", "frame 3", "frame 0"):
        until(tab, name, "#large .player .frame")
    assert tab.run(f"document.activeElement === document.querySelector('{PARTS}')")
    tab.click(LARGE_PLAY)
    assert plays(tab, LARGE_PLAY) == [False]
    tab.choose("#large .player input", "3")
    assert text(tab, "#large .player .frame") == "frame 3"
    tab.key("j")
    assert text(tab, "#large .player .frame") == "frame 2"
    tab.key("ArrowRight")
    tab.settle()
    assert (text(tab, "#large h2"), text(tab, "#large .player .frame")) == ("clip 1", "frame 1")


def test_many_frames_scroll_with_the_one_that_is_shown(tmp_path: Path, visit: Visit) -> None:
    names = tuple(f"frame {i}" for i in range(40))
    tab = visit(save(tmp_path, strip(names, frames=40)), 1000)
    for part in (0, 25, 39):
        tab.choose(SLIDER, str(part))
        left, _, width, _ = tab.box(".film")
        mark, _, marked, _ = tab.box(".film i")
        assert left - 1 <= mark
        assert mark + marked <= left + width + 1
        np.testing.assert_allclose(seen(tab, ".stage .stack", 0.5), expected(part % 4), atol=2)
    open_large(tab)
    left, _, width, _ = tab.box(".parts")
    last = tab.box("#large .parts li:last-child")
    assert left <= last[0]
    assert last[0] + last[2] <= left + width + 1
    assert tab.one(".body", "e.scrollTop") == 0


def test_pictures_and_clips_of_one_run(tmp_path: Path, visit: Visit) -> None:
    """And a picture that follows a clip in the large view is shown whole."""
    plain = explanations.explanation(
        np.full((1, 1, *SIZE), 1.0), images=np.full((1, *SIZE, 3), COLORS[0], np.uint8), ids=["a picture"]
    )
    with xaicore.open_loggers({"disk": {"root": tmp_path}}, on_error="raise", quiet=True) as log:
        log(strip())
        log(plain)
    tab = visit(tmp_path)
    assert (texts(tab, LABEL), len(texts(tab, ".cell .player"))) == (["frame 1", ""], 1)
    open_large(tab)
    tab.key("ArrowRight")
    tab.settle()
    assert (text(tab, "#large h2"), visible(tab, "#large .reel")) == ("a picture", False)
    assert tab.each("#large .views .part", "e.className") == []
    assert texts(tab, "#large .views figcaption")[0] == "picture"


@pytest.mark.parametrize("width", [400, 1000])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_clips_fit_at_any_width(tmp_path: Path, visit: Visit, width: int, scheme: str) -> None:
    tab = visit(save(tmp_path, strip(count=3), strip(count=3)), width, prefers_color_scheme=scheme)
    assert tab.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    for cell in range(1, 4):
        x, y, wide, high = tab.box(f".cell:nth-child({cell}) .card")
        for inner in (".player", ".film", ".caption", ".stage"):
            left, top, w, h = tab.box(f".cell:nth-child({cell}) {inner}")
            assert x - 1 <= left
            assert left + w <= x + wide + 1
            assert y - 1 <= top
            assert top + h <= y + high + 1
    _, film, _, tall = tab.box(".film .stack")
    _, player, _, high = tab.box(".cell .player")
    _, caption, _, _ = tab.box(".cell .caption")
    assert film + tall <= player + 1
    assert player + high <= caption + 1
    open_large(tab)
    assert tab.each(".body, dialog > header", "e.scrollWidth - e.clientWidth") == [0, 0]


@pytest.mark.parametrize(
    "wrong", [{"view_maxima": None}, {"view_maxima": [1.0]}, {"frames": 3}, {"views": None}, {"views": ["one"]}]
)
def test_rows_whose_facts_do_not_fit_have_one_view(tmp_path: Path, visit: Visit, wrong: dict[str, Any]) -> None:
    """A manifest may come from elsewhere, or be of an older version."""
    save(tmp_path, strip())
    (row,) = read_manifest(tmp_path)
    about = {"name": "x", "started": "", "models": [], "methods": [], "layers": [], "targets": [], "images_from": []}
    page = gallery.render([gallery.Part(about)], gallery.Columns([{**row, **wrong}]), xaicore.Drawing())
    (tmp_path / "changed.html").write_text(page)
    tab = visit(tmp_path, page="changed.html")
    assert (texts(tab, LABEL), texts(tab, ".cell .player")) == ([""], [])
    np.testing.assert_allclose(seen(tab, ".stage .stack", 1.5 / 4), expected(1), atol=2)  # the whole strip


def test_an_explanation_without_pictures_plays_its_heatmaps(tmp_path: Path, visit: Visit) -> None:
    one = strip()
    bare = explanations.strip(one.maps[:, None], None, FRAMES, 4, ids=["clip 0"])
    tab = visit(save(tmp_path, dataclasses.replace(bare, input_size=SIZE)))
    for v in (0, 1, 3):
        tab.choose(SLIDER, str(v))
        tab.settle()
        np.testing.assert_allclose(seen(tab, ".stage .stack", 0.5), heat((SHARES[v],))[0], atol=2)

"""The colours that the gallery shows: those of the explanation, at any opacity, on any scale."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import toy_run
from browser import Tab
from reading import HEATMAP, OVERLAY, bands, facts, go_to, heat, open_large, over, row, seen, sources, text
from toy_run import BANDS, IDS, MAXIMUM, PICTURES

import xaicore
from xaicore_disk import thumbnails

Visit = Callable[..., Tab]

SHARES = np.array(BANDS)
MIDDLES = (24, slice(8, None, 16))
"""The pixels of a picture that lie in the middle of the bands."""


def test_overlays_are_those_of_the_explanation(run: Path, visit: Visit) -> None:
    tab = visit(run)
    overlays = toy_run.at_step(5, "first").overlays().astype(float)
    for n, picture in enumerate(PICTURES):
        found = bands(tab, f".cell:nth-child({n + 1}) .stack")
        np.testing.assert_allclose(found, overlays[2 * n][MIDDLES], atol=2)
        np.testing.assert_allclose(found, over(picture, BANDS), atol=2)


@pytest.mark.parametrize("opacity", ["0", "0.25", "1"])
def test_the_slider_sets_the_opacity(run: Path, visit: Visit, opacity: str) -> None:
    tab = visit(run)
    tab.choose("[name=opacity]", opacity)
    np.testing.assert_allclose(bands(tab, ".cell .stack"), over(PICTURES[0], BANDS, float(opacity)), atol=2)
    open_large(tab)
    assert tab.one("[data-twin=opacity]", "e.value") == opacity
    np.testing.assert_allclose(bands(tab, OVERLAY), over(PICTURES[0], BANDS, float(opacity)), atol=2)
    np.testing.assert_allclose(bands(tab, HEATMAP), heat(BANDS), atol=2)
    tab.choose("[data-twin=opacity]", "0.75")
    np.testing.assert_allclose(bands(tab, OVERLAY), over(PICTURES[0], BANDS, 0.75), atol=2)
    assert tab.one("[name=opacity]", "e.value") == "0.75"


def test_one_scale_over_all_steps_is_a_scale_of_colours(run: Path, visit: Visit) -> None:
    """The maximum over the steps is 8, so that step 1, with 4, reaches the middle of the colours."""
    tab = visit(run)
    tab.choose("[name=shared]", True)
    for step, maximum in MAXIMUM.items():
        go_to(tab, step)
        np.testing.assert_allclose(bands(tab, ".cell .stack"), over(PICTURES[0], SHARES * maximum / 8), atol=3)
    assert text(tab, "#controls .top") == "the picture's maximum over all steps"
    go_to(tab, 1)
    open_large(tab)
    np.testing.assert_allclose(bands(tab, HEATMAP), heat(SHARES / 2), atol=3)
    assert text(tab, "#large .top") == "8, the maximum over all steps (step 5)"
    assert tab.one("#large .colors i", "e.style.getPropertyValue('--share')") == "0.5"
    tab.choose("[data-twin=shared]", False)
    np.testing.assert_allclose(bands(tab, HEATMAP), heat(BANDS), atol=2)
    assert text(tab, "#large .top") == "4, this map's maximum"
    assert text(tab, "#controls .top") == "each map's own maximum"


def test_the_scale_is_of_the_picture_method_and_target(run: Path, visit: Visit) -> None:
    tab = visit(run)
    tab.choose("[name=shared]", True)
    tab.choose("[name=k]", "1")  # whose maximum over the steps is 3, at step 1
    for step, factor in ((1, 1), (2, 2 / 3)):
        go_to(tab, step)
        np.testing.assert_allclose(bands(tab, ".cell .stack"), over(PICTURES[0], SHARES * factor), atol=3)


def test_a_scale_that_the_caller_fixed_is_kept(tmp_path: Path, visit: Visit) -> None:
    """Once twice the map's maximum, once half of it."""
    one = toy_run.at_step(5, "first")
    one = dataclasses.replace(one, ceilings=np.float32([16, 16, 4, 4, 4, 4]))
    one.save(tmp_path)
    tab = visit(tmp_path)
    for n, factor in ((0, 0.5), (1, 2)):
        found = bands(tab, f".cell:nth-child({n + 1}) .stack")
        np.testing.assert_allclose(found, over(PICTURES[n], SHARES * factor), atol=3)
        np.testing.assert_allclose(found, one.overlays()[2 * n][MIDDLES].astype(float), atol=3)
    assert text(tab, "#controls .top") == "a fixed scale"
    open_large(tab)
    assert text(tab, "#large .top") == "16, a fixed scale"
    np.testing.assert_allclose(bands(tab, ".others .stack"), over(PICTURES[0], SHARES / 2), atol=3)


def test_the_options_of_the_logger(tmp_path: Path, visit: Visit) -> None:
    """Another colour map, another opacity, a line around the band with the most evidence."""
    tab = visit(toy_run.write(tmp_path, colormap="magma", alpha=0.8, outline=0.25))
    overlay = toy_run.at_step(5, "first").overlays("magma", 0.8, 0.25)[0].astype(float)
    np.testing.assert_allclose(bands(tab, ".cell .stack"), overlay[MIDDLES], atol=2)
    assert tuple(overlay[24, 48]) == (255, 255, 255)
    for opacity in ("0.8", "0"):
        tab.choose("[name=opacity]", opacity)
        assert tuple(seen(tab, ".cell .stack", 48.5 / 64)) == (255, 255, 255)
    np.testing.assert_allclose(bands(tab, ".cell .stack"), np.tile(PICTURES[0], (4, 1)), atol=2)


def test_many_channels_show_the_heatmap_alone(tmp_path: Path, visit: Visit) -> None:
    x = np.tile(toy_run.bands(3.0), (1, 2, 1, 1))  # two channels make no picture
    toy_run.explanation(x, [[1, 0, 0]], "first").save(tmp_path)
    tab = visit(tmp_path)
    tab.choose("[name=opacity]", "0")  # of what is over pictures
    np.testing.assert_allclose(bands(tab, ".cell .stack"), heat(BANDS), atol=2)
    open_large(tab)
    np.testing.assert_allclose(bands(tab, HEATMAP), heat(BANDS), atol=2)
    assert tab.each(".views figure", "e.hidden") == [True, True, False]


def test_rows_of_older_versions_show_their_own_files(tmp_path: Path, visit: Visit) -> None:
    toy_run.write(tmp_path)
    manifest = tmp_path / "manifest.jsonl"
    new = ("grey", "outline", "peak", "ceiling", "slot", "group", "raw_score", "right")
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    old = [{name: one[name] for name in one if name not in new} for one in rows if one["group"] is None]
    manifest.write_text("".join(json.dumps(one) + "\n" for one in old))
    with xaicore.open_loggers({"disk": {"root": tmp_path}}, on_error="raise"):
        pass
    tab = visit(tmp_path)
    assert text(tab, "#headline") == "All 3 right"
    assert sources(tab, ".cell .heat") == [row(tmp_path, name)["overlay"] for name in IDS]
    for opacity in ("0.7", "0.25", "0"):
        tab.choose("[name=opacity]", opacity)
        np.testing.assert_allclose(bands(tab, ".cell .stack"), over(PICTURES[0], BANDS, float(opacity)), atol=2)
    open_large(tab)
    assert sources(tab, f"{HEATMAP} .heat") == [row(tmp_path)["heatmap"]]
    np.testing.assert_allclose(bands(tab, HEATMAP), heat(BANDS), atol=2)
    assert (text(tab, "#large .top"), facts(tab)["raw score"]) == ("this map's maximum", "–")


def test_the_page_is_light_or_dark_as_the_reader_likes(run: Path, visit: Visit) -> None:
    for scheme, ground in (("light", (246, 247, 249)), ("dark", (18, 21, 27))):
        assert tuple(visit(run, prefers_color_scheme=scheme).screenshot()[2, 2]) == ground


def test_cards_show_thumbnails_of_large_pictures_and_the_large_view_the_files(
    tmp_path: Path, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnails, "LARGE", 48)
    monkeypatch.setattr(thumbnails, "SIDE", 24)
    toy_run.at_step(5, "first").save(tmp_path)
    tab = visit(tmp_path, address="compare=&outline=1")
    one = row(tmp_path, step=None)
    assert one["thumbnail"] is not None
    small = [one["picture_thumbnail"], one["thumbnail"], one["thumbnail"]]
    assert sources(tab, ".cell:first-child .stack img") == small
    assert tab.one(".cell .photo", "[e.naturalWidth, e.naturalHeight]") == [32, 24]
    tab.choose("[name=outline]", False)
    np.testing.assert_allclose(bands(tab, ".cell .stack"), over(PICTURES[0], BANDS), atol=2)
    open_large(tab)
    assert sources(tab, f"{OVERLAY} img:not([hidden])") == [one["picture"], one["grey"]]
    assert sources(tab, ".others li:first-child img:not([hidden])") == small[:2]

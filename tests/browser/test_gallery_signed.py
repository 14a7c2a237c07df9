"""Signed maps in the gallery: their colours are those of the explanation, at any opacity and on any scale."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import toy_run
from browser import Tab
from reading import HEATMAP, OVERLAY, bands, facts, open_large, text

import xaicore

Visit = Callable[..., Tab]

SHARES = np.array([-1.0, -0.25, 0.0, 0.5])
"""The map from left to right, as shares of its largest magnitude."""
PICTURE = (200, 100, 50)


def explanation(largest: float) -> xaicore.Explanation:
    values = np.tile(np.repeat(largest * SHARES, toy_run.SIZE[1] // 4), (toy_run.SIZE[0], 1))
    images = toy_run.plain([PICTURE])
    return toy_run.explanation(values[None, None], [[0, 1]], "signed", signed=True, images=images, ids=["a"])


def heat(shares: np.ndarray, name: str = "blue-red") -> np.ndarray:
    return xaicore.overlay.colorize(shares[None].astype(np.float32), name)[0].astype(float)


def over(shares: np.ndarray, opacity: float, name: str = "blue-red") -> np.ndarray:
    amount = opacity * np.abs(shares)[:, None]
    return np.array(PICTURE) + amount * (heat(shares, name) - np.array(PICTURE))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two steps, whose largest magnitudes are 4 and 2; the largest value is against the target."""
    with xaicore.open_loggers({"disk": {"root": tmp_path}}, on_error="raise") as log:
        for step, largest in enumerate((4.0, 2.0)):
            log(explanation(largest), step)
    return tmp_path


def test_colours_at_any_opacity(run: Path, visit: Visit) -> None:
    tab = visit(run)
    np.testing.assert_allclose(bands(tab, ".cell .stack"), over(SHARES, 0.7), atol=2)
    for opacity in ("0", "1"):
        tab.choose("[name=opacity]", opacity)
        np.testing.assert_allclose(bands(tab, ".cell .stack"), over(SHARES, float(opacity)), atol=2)
    open_large(tab)
    np.testing.assert_allclose(bands(tab, OVERLAY), over(SHARES, 1), atol=2)
    np.testing.assert_allclose(bands(tab, HEATMAP), heat(SHARES), atol=2)


def test_zero_stays_neutral_on_one_scale_over_all_steps(run: Path, visit: Visit) -> None:
    tab = visit(run)
    tab.choose("[name=shared]", True)
    np.testing.assert_allclose(bands(tab, ".cell .stack"), over(SHARES / 2, 0.7), atol=3)
    open_large(tab)
    np.testing.assert_allclose(bands(tab, HEATMAP), heat(SHARES / 2), atol=3)
    np.testing.assert_allclose(bands(tab, HEATMAP)[2], (247, 247, 247), atol=1)
    assert text(tab, "#large .bottom") == "against"
    assert text(tab, "#large .top") == "for: 4, the maximum over all steps (step 0)"
    assert tab.one("#large .colors i", "e.style.getPropertyValue('--share')") == "0.75"


def test_a_fixed_scale_limits_both_ends(tmp_path: Path, visit: Visit) -> None:
    one = explanation(4.0)
    xaicore.monitor.scale.Scale(1.0, ["signed"])(one).save(tmp_path)
    tab = visit(tmp_path)
    np.testing.assert_allclose(bands(tab, ".cell .stack"), over(np.array([-1, -1, 0, 1.0]), 0.7), atol=3)


def test_the_legend_and_the_words(run: Path, visit: Visit) -> None:
    tab = visit(run)
    assert text(tab, "#controls .bottom") == "against"
    assert text(tab, "#controls .top") == "for: each map's own maximum"
    left, middle, right = (legend(tab, share) for share in (0.02, 0.5, 0.98))
    np.testing.assert_allclose(left, heat(np.array([-0.96]))[0], atol=8)
    np.testing.assert_allclose(middle, heat(np.array([0.0]))[0], atol=8)
    np.testing.assert_allclose(right, heat(np.array([0.96]))[0], atol=8)
    open_large(tab)
    assert facts(tab)["evidence"] == "signed"


def test_other_methods_have_their_own_scale(run: Path, visit: Visit) -> None:
    with xaicore.open_loggers({"disk": {"root": run}}, on_error="raise") as log:
        log(toy_run.explanation(np.ones((1, 1, *toy_run.SIZE)), [[0, 1]], "plain", ids=["a"]), 1)
    tab = visit(run)
    tab.choose("[name=method]", "plain")
    assert (text(tab, "#controls .bottom"), text(tab, "#controls .top")) == ("0", "each map's own maximum")


def test_the_options_of_the_logger(tmp_path: Path, visit: Visit) -> None:
    with xaicore.open_loggers({"disk": {"root": tmp_path, "diverging": "purple-orange"}}, on_error="raise") as log:
        log(explanation(1.0), 0)
    tab = visit(tmp_path)
    np.testing.assert_allclose(bands(tab, ".cell .stack"), over(SHARES, 0.7, "purple-orange"), atol=3)


def legend(tab: Tab, share: float) -> np.ndarray:
    x, y, width, height = tab.box("#controls .colors")
    return tab.screenshot()[int(y + height / 2), int(x + width * share)].astype(float)

"""What is seen on a page of the toy run, and what should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from browser import Tab
from toy_run import IDS, MAXIMUM

import xaicore
from xaicore_disk.manifest import Row, read_manifest

STEPS = list(MAXIMUM)
COLORS = xaicore.overlay.colorize(np.linspace(0, 1, 256, dtype=np.float32)[None])[0].astype(float)
OVERLAY, HEATMAP = "#large .overlay .stack", "#large .heatmap .stack"


def row(root: Path, name: str = IDS[0], step: int = 5, method: str = "first", k: int = 0) -> Row:
    """The manifest's row."""
    wanted = {"id": name, "step": step, "method": method, "k": k}
    (found,) = (row for row in read_manifest(root) if wanted.items() <= row.items())
    return found


def go_to(tab: Tab, step: int) -> None:
    tab.choose("[name=step]", str(STEPS.index(step)))
    tab.settle()


def pause_at(tab: Tab, step: int) -> None:
    """Press the space bar in the moment in which playing reaches a step, however slow the machine is."""
    press = "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: ' ', bubbles: true}))"
    watch = f"(_, watcher) => e.textContent === 'step {step}' && (watcher.disconnect(), {press})"
    tab.one("output.step", f"(new MutationObserver({watch}).observe(e, {{childList: true}}), 0)")


def open_large(tab: Tab, number: int = 1) -> None:
    tab.settle()
    tab.click(f".cell:nth-child({number}) .card")
    tab.settle()


def shown(tab: Tab) -> list[str]:
    """The ids of the cards, in order."""
    return texts(tab, ".cell .id")


def text(tab: Tab, selector: str) -> str:
    return tab.one(selector, "e.innerText")


def texts(tab: Tab, selector: str) -> list[str]:
    return tab.each(selector, "e.textContent")


def sources(tab: Tab, selector: str) -> list[str]:
    return tab.each(selector, "e.getAttribute('src')")


def visible(tab: Tab, selector: str) -> bool:
    return tab.one(selector, "e.offsetParent !== null")


def facts(tab: Tab) -> dict[str, str]:
    return dict(tab.each(".facts div", "[...e.children].map(child => child.textContent.trim())"))


def seen(tab: Tab, selector: str, across: float) -> np.ndarray:
    """The colour at a share of an element's width, half-way down."""
    x, y, width, height = tab.box(selector)
    return tab.screenshot()[int(y + height / 2), int(x + width * across)].astype(float)


def bands(tab: Tab, selector: str) -> np.ndarray:
    """The colour in the middle of each of the map's four bands, (4, 3)."""
    return np.array([seen(tab, selector, (i + 0.5) / 4) for i in range(4)])


def heat(shares: np.ndarray | tuple[float, ...]) -> np.ndarray:
    """Colours of shares of the scale, by way of the eight bits of the grey picture."""
    return COLORS[np.rint(np.clip(shares, 0, 1) * 255).astype(int)]


def over(picture: tuple[int, ...], shares: np.ndarray | tuple[float, ...], opacity: float = 0.7) -> np.ndarray:
    """The blend as `xaicore.overlay` defines it."""
    amount = opacity * np.clip(shares, 0, 1)[:, None]
    return np.array(picture) + amount * (heat(shares) - np.array(picture))

"""`python -m benchmarks.gallery`: how fast the disk logger's page shows 10,000 maps, and goes from one view to another.

"first cards" is the time from the request of the page until its first cards are painted with their pictures; the rest
is from a control's change until the next paint. Medians of a headless Chromium. The rows name the files of 40
pictures, of 224 x 224 pixels unless --size says otherwise.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

import xaicore
from xaicore_disk import gallery
from xaicore_disk.manifest import read_manifest

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS / "browser"), str(TESTS / "toys")]

from browser import Browser, Tab  # noqa: E402
from explanations import example  # noqa: E402

METHODS = ("gradcam", "scorecam")
FILES = 40
LIMITS = {"first cards": 500.0}
SWITCH_LIMIT = 100.0
SWITCHES = {
    "method": ("method", "scorecam"),
    "side by side": ("compare", "method:gradcam"),
    "another order": ("sort", "worst"),
    "mistakes only": ("wrong", True),
    "find": ("search", "99"),
    "all again": ("search", ""),
    "colour map": ("colors", "cividis"),
    "opacity": ("opacity", "0.9"),
}
"""{what: (a control's name, its new value)}, one after the other."""

FIRST_CARDS = """(async () => {
  const cards = () => [...document.querySelectorAll('.card .photo')].slice(0, 6);
  await Promise.all(cards().map((image) => image.decode()));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now();
})()"""
CHANGE = """(async () => {
  const control = document.getElementById('controls').elements[%s];
  const start = performance.now();
  control[%s] = %s;
  control.dispatchEvent(new Event('input', { bubbles: true }));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - start;
})()"""


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=int, default=gallery.ROWS, help="rows of the page (default: %(default)s)")
    parser.add_argument("--size", type=int, default=224, help="pixels of a picture's side (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds per figure (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = write_page(Path(folder, "run"), options.maps, options.size)
        browser = Browser(Path(folder, "profile"))
        try:
            rounds = [measure(browser, page) for _ in range(options.rounds)]
        finally:
            browser.close()
    table = Table(
        title=f"{options.maps} maps of {options.size} pixels, {len(METHODS)} methods: milliseconds, medians of "
        f"{len(rounds)} rounds"
    )
    for heading in ("what", "median", "highest", "limit"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for name in rounds[0]:
        times = [times[name] for times in rounds]
        limit = LIMITS.get(name, SWITCH_LIMIT)
        color = "green" if median(times) <= limit else "red"
        table.add_row(name, f"[{color}]{median(times):.0f}[/]", f"{max(times):.0f}", f"{limit:.0f}")
    Console().print(table)


def write_page(root: Path, maps: int, size: int) -> Path:
    """A run of few files, and a page with this many rows that name them."""
    known: dict[str, Any] = {"n": FILES, "k": 1, "size": (size, size), "class_names": ["cat", "dog", "fox", "ant"]}
    known["images"] = photographs(size)
    truth = np.random.default_rng(1).integers(0, 4, FILES)
    with xaicore.open_loggers({"disk": {"root": root}}, on_error="raise", quiet=True) as log:
        for method in METHODS:
            log(example(method=method, truth=truth, **known))
    base = read_manifest(root)

    def rows() -> Iterator[dict[str, Any]]:
        for n in range(maps // len(METHODS)):
            for first in range(0, len(base), FILES):
                yield {**base[first + n % FILES], "id": f"photos/picture {n}.jpg"}

    about = json.loads((root / "run.json").read_text())
    page = root / "many.html"
    page.write_text(gallery.render([gallery.Part(about, maps=maps)], gallery.Columns(rows()), xaicore.Drawing()))
    return page


def photographs(size: int) -> np.ndarray:
    """Pictures whose files are as long, and decode as slowly, as those of photographs: soft shapes with grain."""
    rng = np.random.default_rng(2)
    shapes = rng.integers(0, 256, (FILES, 24, 24, 3), np.uint8)
    grown = np.stack([cv2.resize(one, (size, size), interpolation=cv2.INTER_CUBIC) for one in shapes])
    grain = rng.integers(-6, 7, (size, size, 1))
    return np.clip(grown + grain, 0, 255).astype(np.uint8)


def measure(browser: Browser, page: Path) -> dict[str, float]:
    """{what: milliseconds} of one round."""
    tab = Tab(browser, page.as_uri(), 1600, 900)
    times = {"first cards": tab.run(FIRST_CARDS)}
    for what, (name, value) in SWITCHES.items():
        attribute = "checked" if isinstance(value, bool) else "value"
        times[what] = tab.run(CHANGE % (json.dumps(name), json.dumps(attribute), json.dumps(value)))
    tab.close()
    return times


if __name__ == "__main__":
    main()

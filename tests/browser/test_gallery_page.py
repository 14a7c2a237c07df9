"""The page of the disk logger in a real browser, from the file system."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import xaicore

EVIL = '</script><b onclick="alert(1)">'
PINK = (200, 0, 150)

FLAGS = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --hide-scrollbars --force-color-profile=srgb
    --enable-logging=stderr --virtual-time-budget=20000
""".split()  # noqa: SIM905

# It looks into the page as its reader would see it at a width, once all pictures have come.
LENS = """<!doctype html><meta charset="utf-8"><iframe src="PAGE" width="WIDTH" height="3000"></iframe><pre></pre>
<script>
window.onload = async () => {
  const page = document.querySelector("iframe").contentDocument;
  for (const fold of page.querySelectorAll("details")) fold.open = true;
  const images = [...page.images];
  for (const image of images) image.loading = "eager";
  const come = image => image.complete || new Promise(done => image.onload = image.onerror = done);
  await Promise.all(images.map(come));
  document.querySelector("pre").textContent = JSON.stringify({
    sizes: images.map(image => [image.getAttribute("src").split("/")[0], image.naturalWidth, image.naturalHeight]),
    narrowest: Math.min(...images.map(image => image.getBoundingClientRect().width)),
    overflow: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    text: page.body.innerText,
    handlers: page.querySelectorAll("[onclick], script").length,
    bar: page.defaultView.getComputedStyle(page.querySelector(".bar")).backgroundImage,
  });
};
</script>"""


class Given(xaicore.Backend):
    """Outputs that are given, and the input as the only layer."""

    def layers(self, inputs: Any) -> list[xaicore.Layer]:
        return [xaicore.Layer("conv", "Conv", inputs.shape, True)]

    def capture(
        self, inputs: Any, layers: Sequence[str], direction: xaicore.Direction | None = None
    ) -> xaicore.Capture:
        outputs = np.tile(np.array([[3, 1]], np.float32), (len(inputs), 1))
        return xaicore.Capture(outputs, "logits", {layers[0]: inputs}, inputs.shape[2:])


def left_half(activations: np.ndarray, _: None) -> np.ndarray:
    return activations[:, :1]


def other(activations: np.ndarray, _: None) -> np.ndarray:
    return activations[:, :1]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pink pictures, the left half of which is the evidence; two methods, two steps."""
    left_half.needs = other.needs = "activations"  # type: ignore[attr-defined]
    root = tmp_path_factory.mktemp("a run #1 100%")
    x = np.zeros((2, 1, 40, 60), np.float32)
    x[..., :30] = 1
    images = np.full((2, 40, 60, 3), PINK, np.uint8)
    explainer = xaicore.Explainer(None, backend=Given(), layer="conv")
    with xaicore.open_loggers({"disk": {"root": root, "alpha": 1.0}}, name=EVIL, on_error="raise") as log:
        for step in (0, 1):
            for one in explainer.compare(
                x,
                [left_half, other],
                images=images,
                ids=[f"{EVIL}.png", "b" * 90],
                class_names=[EVIL, "b"],
                truth=[0, 1],
            ).values():
                log(one, step)
    return root / "index.html"


def chromium(*arguments: str, profile: Path) -> tuple[str, list[str]]:
    """What it prints, and what pages said on the console."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.fail(f"no browser: none of {', '.join(names)} is installed; on Debian: apt-get install -y chromium")
    command = [program, *FLAGS, f"--user-data-dir={profile}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def screenshot(page: Path, tmp_path: Path, *arguments: str) -> np.ndarray:
    """(H, W, 3) RGB, of a page that has nothing to complain about."""
    shot = tmp_path / "shot.png"
    _, said = chromium(
        f"--screenshot={shot}", "--window-size=1200,900", *arguments, page.as_uri(), profile=tmp_path / "profile"
    )
    assert said == []
    return cv2.imread(str(shot))[..., ::-1]


def look(page: Path, tmp_path: Path, width: int) -> dict[str, Any]:
    lens = tmp_path / "lens.html"
    lens.write_text(LENS.replace("PAGE", page.as_uri()).replace("WIDTH", str(width)))
    printed, said = chromium(
        "--allow-file-access-from-files",
        "--window-size=1500,3000",
        "--dump-dom",
        lens.as_uri(),
        profile=tmp_path / "profile",
    )
    assert said == []
    seen = re.search("<pre>(.+?)</pre>", printed, re.DOTALL)
    assert seen, printed
    return json.loads(html.unescape(seen[1]))


def pixels(shot: np.ndarray, color: tuple[int, ...]) -> int:
    return int((np.abs(shot.astype(int) - color).max(axis=-1) <= 1).sum())


def test_pictures_appear_as_they_are_on_disk(page: Path, tmp_path: Path) -> None:
    shot = screenshot(page, tmp_path)
    top, bottom = (253, 231, 37), (68, 1, 84)  # viridis
    pink, yellow, violet = (pixels(shot, color) for color in (PINK, top, bottom))
    heatmap = violet  # the half without evidence, of each heatmap
    assert heatmap > 10_000
    assert yellow == pytest.approx(2 * heatmap, rel=0.2)  # half of each heatmap, half of each overlay
    assert pink == pytest.approx(2 * heatmap, rel=0.2)  # half of each overlay, a photo for two methods
    assert tuple(shot[2, 2]) == (246, 247, 249)


def test_it_is_dark_where_the_reader_likes_it_dark(page: Path, tmp_path: Path) -> None:
    shot = screenshot(page, tmp_path, "--blink-settings=preferredColorScheme=0")
    assert tuple(shot[2, 2]) == (18, 21, 27)


@pytest.mark.parametrize(("width", "narrowest"), [(400, 150), (700, 100), (1400, 180)])
def test_everything_loads_and_fits_at_any_width(page: Path, tmp_path: Path, width: int, narrowest: int) -> None:
    seen = look(page, tmp_path, width)
    assert sorted(seen["sizes"]) == [["heatmaps", 60, 40]] * 8 + [["overlays", 60, 40]] * 8 + [["pictures", 60, 40]] * 2
    assert seen["overflow"] == 0
    assert seen["narrowest"] >= narrowest
    assert seen["bar"].startswith("linear-gradient(to right, rgb(68, 1, 84)")


def test_untrusted_names_are_text(page: Path, tmp_path: Path) -> None:
    seen = look(page, tmp_path, 1000)
    assert seen["handlers"] == 0
    assert seen["text"].count(EVIL) == 1 + 1 + 2 * 2 + 2 + 8  # title, id, predicted, truth, targets

"""`python -m benchmarks.look [FOLDER]`: how well overlays are seen, by colour map and opacity; sheets to look at.

The default look of `xaicore.overlay` was chosen by this table and by looking at the sheets.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table
from skimage.color import deltaE_ciede2000, rgb2lab

import xaicore
from examples import efficientnet_lite0
from examples.demo import labelled
from examples.report.scenes import photo
from xaicore import overlay

LOOKS = (
    *(("inferno", 0.7), ("inferno", 0.5), ("inferno", 0.8), ("magma", 0.7), ("plasma", 0.7), ("viridis", 0.7)),
    *(("viridis", 0.5), ("turbo", 0.7), ("cividis", 0.7)),
)
SIGNED = (("blue-red", 0.7), ("blue-red", 0.5), ("purple-orange", 0.7))

FILES = """
    astronaut.png brick.png camera.png cell.png chelsea.png clock_motion.png coffee.png coins.png grass.png gravel.png
    horse.png hubble_deep_field.jpg ihc.png moon.png motorcycle_left.png page.png phantom.png retina.jpg rocket.jpg
    text.png
""".split()  # noqa: SIM905
"""Of scikit-image: faces, night, print, tissue, white ground, stone, a head phantom."""

GREEN = ("imagenet_00_243", "imagenet_03_990", "imagenet_05_853", "imagenet_15_99", "imagenet_18_317")
"""Grass and foliage."""

DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)
"""Machado, Oliveira & Fernandes 2009, severity 1; of linear RGB."""

STRONG, PEAK, FAINT = 0.5, 0.8, (0.2, 0.5)
"""Shares of a map's maximum."""

SIDE, LINES = 140, 10

Case = tuple[str, np.ndarray, np.ndarray]


def main(folder: Path | None) -> None:
    """Print the table, and write the sheets."""
    signed = xaicore.Method("signed", lambda a, g: (g.mean((-2, -1), keepdims=True) * a[:, None]).sum(2), signed=True)
    explainer = xaicore.Explainer(efficientnet_lite0.model())
    cases: list[Case] = []
    opposed: list[Case] = []
    for name, picture in pictures():
        x, seen = efficientnet_lite0.preprocess(picture)
        found = explainer.compare(x[None], ["gradcam", "layercam", signed], images=seen[None])
        *maps, both = (one.heatmaps()[0] for one in found.values())
        cases += [(name, seen, heat) for heat in maps]
        opposed.append((name, seen, both))
    table = Table("colour map", "opacity", "change", "green pictures", "deuteranopia", "peak")
    for looks, of in ((LOOKS, cases), (SIGNED, opposed)):
        for colormap, alpha in looks:
            table.add_row(colormap, str(alpha), *(f"{value:.0f}" for value in measure(of, colormap, alpha)))
    Console().print(table)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_sheets(folder, "sheet", cases[::2], LOOKS)
        write_sheets(folder, "signed", opposed, SIGNED)


def pictures() -> Iterator[tuple[str, np.ndarray]]:
    """(name, (H, W, 3) uint8 RGB)."""
    for file in labelled():
        yield file.stem, photo(f"foolbox/data/{file.name}")
    for name in FILES:
        yield name, photo(f"skimage/data/{name}")


def measure(cases: Iterable[Case], colormap: str, alpha: float) -> tuple[float, float, float, float]:
    """Means over the pictures, of differences of colour (CIEDE2000) and lightness (L*).

    Returns:
        How far the overlay is from its picture where evidence is strong; the same in the green pictures; as
        deuteranopes see it; and how much more lightness the overlay adds where evidence peaks than where it is faint.
    """
    changes, greens, dims, peaks = [], [], [], []
    for name, picture, heat in cases:
        over = overlay.blend(picture[None], heat[None], colormap, alpha)[0]
        below, above = rgb2lab(picture), rgb2lab(over)
        strong, peak = np.abs(heat) >= STRONG, np.abs(heat) >= PEAK
        changes.append(deltaE_ciede2000(below, above)[strong].mean())
        greens += [changes[-1]] if name in GREEN else []
        dims.append(deltaE_ciede2000(rgb2lab(simulate(picture)), rgb2lab(simulate(over)))[strong].mean())
        faint = (np.abs(heat) > FAINT[0]) & (np.abs(heat) < FAINT[1])
        gain = above[..., 0] - below[..., 0]
        peaks.append(gain[peak].mean() - gain[faint].mean())
    return float(np.mean(changes)), float(np.mean(greens)), float(np.mean(dims)), float(np.mean(peaks))


def simulate(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8 RGB as deuteranopes see it."""
    share = picture / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4) @ DEUTERANOPIA.T
    linear = linear.clip(0, 1)
    seen: np.ndarray = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * seen).astype(np.uint8)


def write_sheets(folder: Path, stem: str, cases: list[Case], looks: Iterable[tuple[str, float]]) -> None:
    """Pictures below each other, and their overlays beside them, a column per look."""
    for start in range(0, len(cases), LINES):
        lines = []
        for _, picture, heat in cases[start : start + LINES]:
            overs = [overlay.blend(picture[None], heat[None], *look)[0] for look in looks]
            lines.append(np.concatenate([cv2.resize(one, (SIDE, SIDE)) for one in (picture, *overs)], axis=1))
        cv2.imwrite(str(folder / f"{stem}-{start // LINES}.png"), np.concatenate(lines)[..., ::-1])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)

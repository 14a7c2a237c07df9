"""Maps as a figure of Matplotlib, which this module imports; `plot` imports it late.

`matplotlib.pyplot` is not used: it has a list of open figures, a current one, and a backend that it chooses when it is
first imported, all of which are the user's. The places of images and titles are computed, in inches: no layout engine
has to find them, and every image of a figure has the same width.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from xaicore.show.drawing import Drawing
from xaicore.show.sheet import Group, Panel, is_wide
from xaicore.show.words import escape_surrogates, evidence, headline, views

__all__ = ["Plot", "figure_of"]

COLUMNS = 5
"""The most maps beside a picture; more follow in the next line."""

SIDE, BROAD, GAP = 1.9, 6.5, 0.08
"""The width of an image in inches, that of a wide one, such as a curve, and the distance between images."""

BAR, BAR_WIDTH = 0.6, 0.08
"""The width of a colour bar in inches, with its labels and without."""

SIZE, SMALL = 8, 6.5
"""Of letters, in points."""

LINE, LETTERS = 0.15, 26
"""The height of a line of a title in inches, and the letters that fit above an image."""

DPI = 150

Cell = tuple[np.ndarray, str] | None
Block = tuple[list[list[Cell]], Sequence[Panel]]


class Plot(Figure):
    """A figure that notebooks show, whether pyplot was imported or not."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()


def figure_of(groups: Sequence[Group], drawing: Drawing) -> Plot:
    """A figure with the lines of each group, and its colour bars at the end of its first line."""
    wide = any(panel.shown is not None and is_wide(panel.shown) for group in groups for panel in group.panels)
    blocks = [(list(_lines(group, 0 if wide else COLUMNS)), group.panels) for group in groups]
    side = BROAD if wide else SIDE
    columns = max(len(line) for lines, _ in blocks for line in lines)
    bars = max(len(_scales(panels)) for _, panels in blocks)
    width = columns * (side + GAP) + GAP + bars * BAR
    height = sum(_height(line, side) for lines, _ in blocks for line in lines) + GAP
    figure = Plot(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    top = height
    for lines, panels in blocks:
        for i, line in enumerate(lines):
            below = top - GAP - LINE * _title_lines(line)
            for column, cell in enumerate(line):
                if cell is not None:
                    _draw(figure, cell, (GAP + column * (side + GAP), below), side)
            if not i:
                _bars(figure, panels, drawing, (columns * (side + GAP) + 2 * GAP, below), side * _shape(line))
            top -= _height(line, side)
    return figure


def _lines(group: Group, most: int) -> Iterator[list[Cell]]:
    """The cells of each line: the picture at the start of the first, and this many maps; 0: each below the other."""
    picture: list[Cell] = []
    if group.picture is not None:
        first, *others = (*group.facts, "")
        words = (_wrap(group.title.replace("/", "/ ")).replace("/ ", "/"), _wrap(first), _wrap(", ".join(others[:-1])))
        picture = [(group.picture, "\n".join(filter(None, words)))]
    if not most and picture:
        yield picture
    for line in group.lines:
        cells: list[Cell] = [(panel.shown, _title(panel)) for panel in line if panel.shown is not None]
        for start in range(0, len(cells), most or 1):
            yield [*(picture if most else []), *cells[start : start + (most or 1)]]
            picture = [None] if picture else []


def _title(panel: Panel) -> str:
    words = (panel.name, headline(panel.row), evidence(panel.row) if panel.row["empty"] else "", views(panel.row))
    return "\n".join(_wrap(text) for text in words if text)


def _wrap(text: str) -> str:
    return textwrap.fill(escape_surrogates(text), LETTERS)


def _shape(line: Sequence[Cell]) -> float:
    """The height of the highest image, in widths."""
    return max(cell[0].shape[0] / cell[0].shape[1] for cell in line if cell is not None)


def _title_lines(line: Sequence[Cell]) -> int:
    return max(cell[1].count("\n") + 1 for cell in line if cell is not None)


def _height(line: Sequence[Cell], side: float) -> float:
    return side * _shape(line) + LINE * _title_lines(line) + GAP


def _draw(figure: Figure, cell: Cell, corner: tuple[float, float], side: float) -> None:
    """An image with its upper left corner there, in inches, under its title."""
    assert cell is not None
    image, title = cell
    (x, y), (width, height) = corner, figure.get_size_inches()
    tall = side * image.shape[0] / image.shape[1]
    axes = figure.add_axes((x / width, (y - tall) / height, side / width, tall / height))
    axes.imshow(image, aspect="auto")
    axes.set_axis_off()
    # A dollar sign in a class name is no formula.
    axes.set_title(title, fontsize=SIZE, pad=3, linespacing=1.15, parse_math=False)


def _scales(panels: Sequence[Panel]) -> list[tuple[bool, str]]:
    """The scales that these panels have: whether they are signed, and what 1 is."""
    return list(dict.fromkeys((bool(panel.row["signed"]), panel.scale) for panel in panels))


def _bars(
    figure: Figure, panels: Sequence[Panel], drawing: Drawing, corner: tuple[float, float], height: float
) -> None:
    """A small colour bar for each scale, in the middle of a line of this height, in inches."""
    wide, high = figure.get_size_inches()
    long = min(0.6 * height, SIDE)
    for i, (signed, scale) in enumerate(_scales(panels)):
        low = -1 if signed else 0
        colors = drawing.colorize(np.linspace(low, 1, 256, dtype=np.float32)[None], signed)[0]
        x, y = corner[0] + i * BAR, corner[1] - (height + long) / 2
        axes = figure.add_axes((x / wide, y / high, BAR_WIDTH / wide, long / high))
        colored = ScalarMappable(Normalize(low, 1), ListedColormap(colors / 255))
        bar = figure.colorbar(colored, cax=axes, ticks=[-1, 0, 1] if signed else [0, 1])
        axes.tick_params(labelsize=SMALL, length=2, pad=2)
        axes.set_yticklabels(["against", "0", "for"] if signed else ["0", "1"])
        bar.set_label(f"evidence (1 = {scale})", fontsize=SMALL, labelpad=2)
        axes.spines["outline"].set_visible(False)

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
"""The width of an image in inches, that of a curve or of several views, and the distance between images."""

BARS = {False: 0.6, True: 0.85}
"""The width of a colour bar in inches with its labels; of a signed one these are words."""

BAR_WIDTH, BAR_HEIGHT, LABEL_HEIGHT = 0.08, 1.1, 1.9
"""That of a bar alone, the height of a bar, and that of its label, in inches."""

SIZE, SMALL = 8, 6.5
"""Of letters, in points."""

LINE, LETTERS = 0.15, 13.5
"""The height of a line of a title in inches, and the letters per inch."""

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
    """A figure with the lines of each group, and its colour bars at their end."""
    wide = any(_is_wide(panel) for group in groups for panel in group.panels)
    side = BROAD if wide else SIDE
    blocks = [(list(_lines(group, side)), _scales(group.panels)) for group in groups]
    columns = max(len(line) for lines, _ in blocks for line in lines)
    right = columns * (side + GAP) + GAP
    # The label of a bar is higher than flat images.
    heights = [max(LABEL_HEIGHT, sum(_height(line, side) for line in lines)) for lines, _ in blocks]
    width = right + max(sum(BARS[signed] for signed, _ in scales) for _, scales in blocks)
    figure = Plot(figsize=(width, sum(heights) + GAP), dpi=DPI)
    FigureCanvasAgg(figure)
    top = sum(heights) + GAP
    for (lines, scales), height in zip(blocks, heights, strict=True):
        _bars(figure, scales, drawing, (right + GAP, top - (height + BAR_HEIGHT) / 2))
        y = top
        for line in lines:
            for column, cell in enumerate(line):
                if cell is not None:
                    corner = (GAP + column * (side + GAP), y - GAP - LINE * _title_lines(line))
                    _draw(figure, cell, corner, side)
            y -= _height(line, side)
        top -= height
    return figure


def _is_wide(panel: Panel) -> bool:
    """Whether a map is as wide as the figure: a curve, or several views side by side."""
    return bool(panel.row.get("views")) or (panel.shown is not None and is_wide(panel.shown))


def _lines(group: Group, side: float) -> Iterator[list[Cell]]:
    """The cells of each line: the picture at the start of the first, then maps; of wide images one per line."""
    most = COLUMNS if side == SIDE else 0
    picture: list[Cell] = []
    if group.picture is not None:
        first, *others = (*group.facts, "")
        name = _wrap(group.title.replace("/", "/ "), side).replace("/ ", "/")
        words = (name, _wrap(first, side), _wrap(", ".join(others[:-1]), side))
        picture = [(group.picture, "\n".join(filter(None, words)))]
    if not most and picture:
        yield picture
    for line in group.lines:
        cells: list[Cell] = [(panel.shown, _title(panel, side)) for panel in line if panel.shown is not None]
        for start in range(0, len(cells), most or 1):
            yield [*(picture if most else []), *cells[start : start + (most or 1)]]
            picture = [None] if picture else []


def _title(panel: Panel, side: float) -> str:
    words = (panel.name, headline(panel.row), evidence(panel.row) if panel.row["empty"] else "", views(panel.row))
    return "\n".join(_wrap(text, side) for text in words if text)


def _wrap(text: str, side: float) -> str:
    return textwrap.fill(escape_surrogates(text), int(LETTERS * side))


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


def _bars(figure: Figure, scales: Sequence[tuple[bool, str]], drawing: Drawing, corner: tuple[float, float]) -> None:
    """A small colour bar for each scale, the first with its lower left corner there, in inches."""
    (x, y), (width, height) = corner, figure.get_size_inches()
    for signed, scale in scales:
        low = -1 if signed else 0
        colors = drawing.colorize(np.linspace(low, 1, 256, dtype=np.float32)[None], signed)[0]
        axes = figure.add_axes((x / width, y / height, BAR_WIDTH / width, BAR_HEIGHT / height))
        colored = ScalarMappable(Normalize(low, 1), ListedColormap(colors / 255))
        bar = figure.colorbar(colored, cax=axes, ticks=[-1, 0, 1] if signed else [0, 1])
        axes.tick_params(labelsize=SMALL, length=2, pad=2)
        axes.set_yticklabels(["against", "0", "for"] if signed else ["0", "1"])
        bar.set_label(f"evidence (1 = {scale})", fontsize=SMALL, labelpad=2)
        axes.spines["outline"].set_visible(False)
        x += BARS[signed]

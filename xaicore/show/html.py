"""Results as HTML for notebooks: each picture once, beside it its overlays with their targets as captions.

The fragment has no script and no style sheet, only attributes: Jupyter, VS Code and Colab show it alike, also in a
notebook that is opened again and is not trusted. It takes colours of text and ground from the page, light or dark.
Everything is inline. Class names and ids are untrusted text and are escaped.
"""

from __future__ import annotations

import base64
import html
import sys
import tempfile
import webbrowser
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from xaicore.opencv import cv2
from xaicore.show.drawing import Drawing
from xaicore.show.encoding import png
from xaicore.show.sheet import Group, Panel, is_wide
from xaicore.show.tiles import cut
from xaicore.show.words import escape_surrogates, evidence, headline, views

__all__ = ["SLICES", "fitting", "render", "show"]

ROWS = 24
"""Maps that are shown, one per view; a page of thousands of inline pictures would stop the browser."""

SLICES = 8
"""The slices of a volume that are shown, evenly spaced."""

NARROW, BROAD = ("8em", "15em"), ("26em", "40em")
"""The least and the greatest width of an image; of wide ones, such as curves, which lie below each other in time."""

TINY = 64
"""Pixels: narrower images are enlarged without smoothing, so that their pixels can be counted."""

MOST = 720
"""Pixels: wider images are reduced to this width, which is sharp on any screen; photographs would fill megabytes."""

SOFT = "opacity:.75"


def fitting(images: int, per_image: int, parts: int) -> tuple[int, int]:
    """How many images are shown, and how many maps of each, where a map has this many views; one or more of both."""
    maps = max(1, min(per_image, ROWS // parts))
    return min(images, max(1, ROWS // (maps * parts))), maps


def render(title: str, about: str, groups: Iterable[Group], more: int = 0) -> str:
    """An HTML fragment.

    Args:
        title: the model, the methods and the layer.
        about: a line below.
        groups: one per image.
        more: the number of maps that are left out.
    """
    groups = list(groups)
    signs = sorted({bool(panel.row.get("signed")) for group in groups for panel in group.panels if panel.images})
    head = f'<div><b>{_text(title)}</b></div><div style="{SOFT}">{_text(about)}</div>{"".join(map(_legend, signs))}'
    note = f"<p>... and {more} more; save(directory) writes them all.</p>" if more > 0 else ""
    style = "font-family:system-ui,sans-serif;line-height:1.4;overflow-wrap:anywhere"
    return f'<div style="{style}">{head}{"".join(map(_section, groups))}{note}</div>'


def _section(group: Group) -> str:
    """An image: its name, what is known of it, its picture, its maps."""
    facts = "".join(f" · {_text(fact)}" for fact in group.facts)
    named = any(panel.row["target_name"] for panel in group.panels)
    lines = [[panel for panel in line if not (named and panel.is_filler)] for line in group.lines]
    strips = any(panel.row.get("views") for panel in group.panels)
    content = "".join(_strips(lines) if strips else _grids(group, lines))
    return f'<section style="margin-top:1em"><div><b>{_text(group.title)}</b>{facts}</div>{content}</section>'


def _grids(group: Group, lines: list[list[Panel]]) -> Iterator[str]:
    """A grid per line; the first begins with the picture. One map alone has its heatmap beside it."""
    alone = len(group.panels) == 1
    for i, line in enumerate(lines):
        cells = []
        if group.picture is not None:  # in later lines its place is empty, so that results are in columns
            cells.append("<div></div>" if i else _figure(_image(group.picture, group.title), "picture"))
        for panel in line:
            content = "" if panel.shown is None else _image(panel.shown, _describe(panel))
            cells.append(_figure(content, *_caption(panel)))
            if alone and "overlay" in panel.images:
                cells.append(_figure(_image(panel.images["heatmap"], f"heatmap: {_describe(panel)}"), "heatmap"))
        wide = any(panel.shown is not None and is_wide(panel.shown) for panel in line)
        least, greatest = BROAD if wide else NARROW
        yield (
            f'<div style="display:grid;gap:.5em;grid-template-columns:repeat(auto-fit,minmax(min(100%,{least}),1fr));'
            f'max-width:calc({len(cells)}*{greatest});margin-top:.4em">{"".join(cells)}</div>'
        )


def _strips(lines: list[list[Panel]]) -> Iterator[str]:
    """A strip of views per map, with the picture in the first of an image."""
    panels = [panel for line in lines for panel in line]
    for panel in panels:
        kinds = {"picture", "overlay"} if panel is panels[0] else {"overlay"}
        kinds |= {"heatmap"} if len(panels) == 1 or "overlay" not in panel.images else set()
        images = {kind: image for kind, image in panel.images.items() if kind in kinds}
        yield _figure(_strip(panel, images), *_caption(panel))


def _strip(panel: Panel, images: Mapping[str, np.ndarray]) -> str:
    """A list of views from left to right, each with its name over its picture, overlay and heatmap."""
    names = panel.row["views"]
    tiles = {kind: cut(image, len(names), panel.row.get("columns") or len(names)) for kind, image in images.items()}
    items = []
    for i, name in enumerate(names):
        shown = "".join(_image(of_kind[i], f"{kind}, {name}") for kind, of_kind in tiles.items())
        items.append(f'<li style="flex:1 0 6em;max-width:16em">{_text(name)}{shown}</li>')
    style = "display:flex;gap:4px;overflow-x:auto;list-style:none;margin:.4em 0 0;padding:0"
    return f'<ol style="{style}" tabindex="0" role="list" aria-label="views">{"".join(items)}</ol>'


def _caption(panel: Panel) -> tuple[str, str]:
    """The target with its score, after the name of its result, and what a reader must know of the colours."""
    row = {**panel.row, "columns": None}  # tiles lie in one line
    words = filter(None, (evidence(row), views(row)))
    return ": ".join(filter(None, (panel.name, headline(row)))), " · ".join(words)


def _figure(content: str, title: str, note: str = "") -> str:
    small = f'<div style="{SOFT}">{_text(note)}</div>' if note else ""
    caption = f"<figcaption>{_text(title)}{small}</figcaption>"
    return f'<figure style="margin:0">{content}{caption}</figure>'


def _describe(panel: Panel) -> str:
    """The text for those who cannot see the map: "gradcam for dog over cat.png"."""
    row = panel.row
    return f"{row['method']} for {row['target_name'] or row['asked']} over {row['id']}"


def _legend(signed: bool) -> str:
    """The colours, from no evidence to the most, or from evidence against the target to evidence for it."""
    colors = Drawing().colorize(np.linspace(-1 if signed else 0, 1, 9)[None], signed)[0]
    ramp = ",".join("#" + bytes(color).hex() for color in colors)
    bar = f"display:inline-block;width:7em;height:.7em;margin:0 .4em;background:linear-gradient(to right,{ramp})"
    low, high = ("against", "for the target") if signed else ("no evidence", "most evidence")
    ends = [f'<span style="{SOFT}">{end}</span>' for end in (low, high)]
    return f'<div style="font-size:.85em">{ends[0]}<span style="{bar}"></span>{ends[1]}</div>'


def _image(image: np.ndarray, alt: str) -> str:
    height, width = image.shape[:2]
    if width > MOST:
        image = cv2.resize(image, (MOST, max(1, round(height * MOST / width))), interpolation=cv2.INTER_AREA)
    pixels = ";image-rendering:pixelated" if width <= TINY else ""
    url = f"data:image/png;base64,{base64.b64encode(png(image)).decode()}"
    return f'<img alt="{_text(alt)}" title="{_text(alt)}" src="{url}" style="display:block;width:100%{pixels}">'


def _text(text: str) -> str:
    """Untrusted text, escaped, that UTF-8 can encode."""
    return html.escape(escape_surrogates(text))


def show(fragment: str) -> None:
    """Display an HTML fragment in the running notebook, else write a page and open it in the web browser."""
    if "IPython" in sys.modules:
        from IPython import get_ipython
        from IPython.display import HTML, display

        if getattr(get_ipython(), "kernel", None) is not None:  # IPython in a terminal cannot show pictures
            display(HTML(fragment))
            return
    head = '<meta charset=utf-8><meta name="color-scheme" content="light dark"><title>xaicore</title>'
    with tempfile.NamedTemporaryFile("w", suffix=".html", delete=False, encoding="utf-8") as file:
        file.write(f"<!doctype html>{head}{fragment}")
    print(f"xaicore: {file.name}")
    webbrowser.open(Path(file.name).as_uri())

"""An explanation as HTML: photo, overlay and heatmap of each row, everything inline. Several views form a strip.

Where an image has several targets, such as words, its rows are together and each has its target as a title.
Class names and ids are untrusted text and are escaped.
"""

from __future__ import annotations

import base64
import html
import sys
import tempfile
import webbrowser
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xaicore.show.encoding import png
from xaicore.show.tiles import cut
from xaicore.show.words import caption, evidence, scored

__all__ = ["ROWS", "SLICES", "render", "show"]

ROWS = 24
"""Maps that are shown, one per view; a page of thousands of inline pictures would stop the browser."""

SLICES = 8
"""The slices of a volume that are shown, evenly spaced."""

WIDE = 2.2
"""In heights: from here on an image is wide."""

Rows = Iterable[tuple[Mapping[str, Any], Mapping[str, np.ndarray]]]


def render(title: str, rows: Rows, more: int = 0, several: bool = False) -> str:
    """An HTML fragment.

    Args:
        title: a line above the rows.
        rows: each a row and its images, as `Explanation.row` and `Explanation.draw` give them.
        more: the number of rows that are left out.
        several: images have several targets, and each row a title, its target.
    """
    figures = "".join(_figures(rows, several))
    note = f"<p>... and {more} more; save(directory) writes them all.</p>" if more > 0 else ""
    return f"<div><p>{html.escape(title)}</p>{figures}{note}</div>"


def _figures(rows: Rows, several: bool) -> Iterator[str]:
    named = False
    for row, images in rows:
        named = named if row["k"] else bool(row["target_name"])
        if not (named and _is_filler(row)):
            title = f"<div><b>{html.escape(scored(row))}</b></div>" if several else ""
            yield f"<figure>{title}{_content(row, images)}{_caption(row)}</figure>"


def _is_filler(row: Mapping[str, Any]) -> bool:
    """Whether a row fills up an image that has fewer targets than others, such as a shorter sequence of words."""
    return bool(row["target"] < 0 and not row["target_name"] and row["empty"])


def _images(images: Mapping[str, np.ndarray]) -> str:
    """Side by side; wide ones, such as curves, below each other where the page is narrow."""
    wide = any(image.shape[1] > WIDE * image.shape[0] for image in images.values())
    style = "width:max(32%,min(99%,26em))" if wide else "max-width:32%"
    return "".join(
        f'<img alt="{name}" title="{name}" src="{_data_url(image)}" style="{style};margin-right:1%">'
        for name, image in _named(images).items()
    )


def _named(images: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"photo" if kind == "picture" else kind: image for kind, image in images.items()}


def _content(row: Mapping[str, Any], images: Mapping[str, np.ndarray]) -> str:
    names = row.get("views")
    return _strip(names, images, row.get("columns") or len(names)) if names else _images(images)


def _strip(names: Sequence[str], images: Mapping[str, np.ndarray], columns: int) -> str:
    """A list of views from left to right, each with its name over its photo, overlay and heatmap."""
    tiles = {kind: cut(image, len(names), columns) for kind, image in images.items()}
    items = []
    for i, name in enumerate(names):
        parts = {kind: of_kind[i] for kind, of_kind in tiles.items()}
        shown = "".join(
            f'<img alt="{kind}, {html.escape(name)}" title="{kind}" src="{_data_url(part)}" '
            'style="display:block;width:100%;margin-bottom:2px">'
            for kind, part in _named(parts).items()
        )
        items.append(f'<li style="flex:1 0 6em;max-width:16em">{html.escape(name)}{shown}</li>')
    style = "display:flex;gap:4px;overflow-x:auto;list-style:none;margin:0;padding:0"
    return f'<ol style="{style}" tabindex="0" role="list" aria-label="views">{"".join(items)}</ol>'


def _caption(row: Mapping[str, Any]) -> str:
    words = " | ".join(filter(None, (caption({**row, "columns": None}), evidence(row))))  # tiles lie in one line
    return f"<figcaption>{html.escape(words)}</figcaption>"


def _data_url(image: np.ndarray) -> str:
    return f"data:image/png;base64,{base64.b64encode(png(image)).decode()}"


def show(fragment: str) -> None:
    """Display an HTML fragment in the running notebook, else write a page and open it in the web browser."""
    if "IPython" in sys.modules:
        from IPython import get_ipython
        from IPython.display import HTML, display

        if getattr(get_ipython(), "kernel", None) is not None:  # IPython in a terminal cannot show pictures
            display(HTML(fragment))
            return
    page = f"<!doctype html><meta charset=utf-8><title>xaicore</title>{fragment}"
    with tempfile.NamedTemporaryFile("w", suffix=".html", delete=False, encoding="utf-8") as file:
        file.write(page)
    print(f"xaicore: {file.name}")
    webbrowser.open(Path(file.name).as_uri())

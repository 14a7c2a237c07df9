"""An explanation as HTML: photo, overlay and heatmap of each row, everything inline. Several views form a strip.

Class names and ids are untrusted text and are escaped.
"""

from __future__ import annotations

import base64
import html
import sys
import tempfile
import webbrowser
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xaicore.show.encoding import png
from xaicore.show.tiles import cut
from xaicore.show.words import caption, evidence

__all__ = ["ROWS", "SLICES", "render", "show"]

ROWS = 24
"""Maps that are shown, one per view; a page of thousands of inline pictures would stop the browser."""

SLICES = 8
"""The slices of a volume that are shown, evenly spaced."""


def render(title: str, rows: Iterable[tuple[Mapping[str, Any], Mapping[str, np.ndarray]]], more: int = 0) -> str:
    """An HTML fragment.

    Args:
        title: a line above the rows.
        rows: each a row and its images, as `Explanation.row` and `Explanation.draw` give them.
        more: the number of rows that are left out.
    """
    figures = "".join(f"<figure>{_content(row, images)}{_caption(row)}</figure>" for row, images in rows)
    note = f"<p>... and {more} more; save(directory) writes them all.</p>" if more > 0 else ""
    return f"<div><p>{html.escape(title)}</p>{figures}{note}</div>"


def _images(images: Mapping[str, np.ndarray]) -> str:
    return "".join(
        f'<img alt="{name}" title="{name}" src="{_data_url(image)}" style="max-width:32%;margin-right:1%">'
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
    words = " | ".join(filter(None, (caption(row), evidence(row))))
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

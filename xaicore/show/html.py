"""An explanation as HTML: photo, overlay and heatmap of each row, everything inline.

Class names and ids are untrusted text and are escaped.
"""

from __future__ import annotations

import base64
import html
import sys
import tempfile
import webbrowser
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from xaicore.show.encoding import png
from xaicore.show.words import caption

__all__ = ["ROWS", "render", "show"]

ROWS = 24
"""Rows that are shown; a page of thousands of inline pictures would stop the browser."""


def render(title: str, rows: Iterable[tuple[Mapping[str, Any], Mapping[str, np.ndarray]]], more: int = 0) -> str:
    """An HTML fragment.

    Args:
        title: a line above the rows.
        rows: each a row and its images, as `Explanation.row` and `Explanation.draw` give them.
        more: the number of rows that are left out.
    """
    figures = "".join(f"<figure>{_images(images)}{_caption(row)}</figure>" for row, images in rows)
    note = f"<p>... and {more} more; save(directory) writes them all.</p>" if more > 0 else ""
    return f"<div><p>{html.escape(title)}</p>{figures}{note}</div>"


def _images(images: Mapping[str, np.ndarray]) -> str:
    named = {"photo" if kind == "picture" else kind: image for kind, image in images.items()}
    return "".join(
        f'<img alt="{name}" title="{name}" src="{_data_url(image)}" style="max-width:32%;margin-right:1%">'
        for name, image in named.items()
    )


def _caption(row: Mapping[str, Any]) -> str:
    words = f"{caption(row)} | no positive evidence" if row["empty"] else caption(row)
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

"""An Explanation as a piece of HTML: photo, overlay and heatmap a row, everything inline.

Class names and ids are untrusted text and are escaped.
"""

from __future__ import annotations

import base64
import html
import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xaicore import overlay
from xaicore.opencv import cv2

if TYPE_CHECKING:
    from xaicore.explanation import Explanation

__all__ = ["render", "show"]

ROWS = 24
"""Rows that are shown; a page of thousands of inline pictures would stop the browser."""


def render(explanation: Explanation) -> str:
    """The first rows of an explanation as an HTML fragment."""
    per_image = len(explanation) // len(explanation.ids)
    shown = explanation.take(slice(0, max(1, ROWS // per_image)))
    columns = _columns(shown)
    figures = []
    for m in range(min(len(shown), ROWS)):
        images = "".join(
            f'<img alt="{name}" title="{name}" src="{_data_url(column[m])}" style="max-width:32%;margin-right:1%">'
            for name, column in columns.items()
        )
        figures.append(f"<figure>{images}<figcaption>{html.escape(_caption(shown, m))}</figcaption></figure>")
    more = len(explanation) - len(figures)
    note = f"<p>... and {more} more; save(directory) writes them all.</p>" if more > 0 else ""
    return f"<div><p>{html.escape(repr(explanation))}</p>{''.join(figures)}{note}</div>"


def _columns(explanation: Explanation) -> dict[str, np.ndarray]:
    """What there is to show of each row: uint8 RGB (M, H, W, 3)."""
    columns = {}
    if explanation.images is not None:
        columns["photo"] = explanation.images[explanation.image_index]
        columns["overlay"] = explanation.overlays()
    if len(explanation.input_size) == 2:
        columns["heatmap"] = overlay.colorize(explanation.heatmaps())
    return columns


def _caption(explanation: Explanation, m: int) -> str:
    row = explanation.row(m)
    said = [row["id"], f"{row['target_name'] or explanation.target}: {row['score']:.3f}"]
    if row["predicted"] is not None and row["predicted"] != row["target"]:
        said.append(f"predicted {row['predicted_name']}")
    if row["truth"] is not None and row["predicted"] is not None:
        said.append("right" if row["truth"] == row["predicted"] else f"wrong, it is {row['truth_name']}")
    if row["empty"]:
        said.append("no positive evidence")
    return " | ".join(said)


def _data_url(picture: np.ndarray) -> str:
    _, png = cv2.imencode(".png", picture[..., ::-1])
    return f"data:image/png;base64,{base64.b64encode(png.tobytes()).decode()}"


def show(explanation: Explanation) -> None:
    """Display in the running notebook, else write a page and open it in the web browser."""
    if "IPython" in sys.modules:
        from IPython import get_ipython
        from IPython.display import HTML, display

        if getattr(get_ipython(), "kernel", None) is not None:  # IPython in a terminal cannot show pictures
            display(HTML(render(explanation)))
            return
    page = f"<!doctype html><meta charset=utf-8><title>xaicore</title>{render(explanation)}"
    with tempfile.NamedTemporaryFile("w", suffix=".html", delete=False, encoding="utf-8") as file:
        file.write(page)
    print(f"xaicore: {file.name}")
    webbrowser.open(Path(file.name).as_uri())

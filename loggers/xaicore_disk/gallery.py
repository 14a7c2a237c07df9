"""`index.html`: photo, overlay and heatmap of every image, its methods side by side, the newest step first.

The page refers to the pictures beside it and works from the file system. It runs no scripts and its content
security policy allows none; ids, class names and all else that is shown are untrusted text.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
import numpy as np

import xaicore
from xaicore_disk import about, manifest
from xaicore_disk.folder import RunFolder

__all__ = ["ROWS", "cards", "page"]

ROWS = 2000
"""Rows that are shown, the last ones: browsers scroll that well, and writing the page stays cheap."""

COLUMNS = 3
"""Methods side by side, at most; further ones go below."""


def page(folder: RunFolder, colormap: str) -> str:
    """The page of a run as it is now."""
    offsets = manifest.offsets(folder.manifest)
    rows = manifest.rows_at(folder.manifest, list(offsets.values())[-ROWS:])
    shown = cards(rows)
    judged = [card["steps"][0]["right"] for card in shown if card["steps"][0]["right"] is not None]
    return _template().render(
        about=about.read(folder),
        cards=shown,
        columns=_columns(max((len(line) for card in shown for line in card["steps"][0]["lines"]), default=1)),
        hidden=len(offsets) - len(rows),
        maps=len(offsets),
        judged=len(judged),
        right=sum(judged),
        legend=_gradient(colormap),
    )


def cards(rows: Iterable[manifest.Row]) -> list[dict[str, Any]]:
    """One card an image, in the order in which the images come; its steps, the newest first.

    A card is {"id", "steps"}; a step {"step", "first", "right", "lines"}: its first row, whether the prediction
    is right (None where that is unknown), and one line of rows for each k, in which the methods differ.
    """
    steps: dict[str, dict[int | None, list[manifest.Row]]] = {}
    for row in rows:
        steps.setdefault(row["id"], {}).setdefault(row["step"], []).append(row)
    return [
        {"id": name, "steps": [_step(step, of[step]) for step in sorted(of, key=_newness, reverse=True)]}
        for name, of in steps.items()
    ]


def _newness(step: int | None) -> tuple[bool, int]:
    return step is not None, step or 0


def _step(step: int | None, rows: list[manifest.Row]) -> dict[str, Any]:
    lines: dict[int, list[manifest.Row]] = {}
    for row in rows:
        lines.setdefault(row["k"], []).append(row)
    first = rows[0]
    unknown = first["truth"] is None or first["predicted"] is None
    return {
        "step": step,
        "first": first,
        "right": None if unknown else first["truth"] == first["predicted"],
        "lines": [lines[k] for k in sorted(lines)],
    }


def _columns(methods: int) -> int:
    """How many go side by side, so that the lines are about equally long."""
    lines = math.ceil(methods / COLUMNS)
    return math.ceil(methods / lines)


def _gradient(colormap: str) -> str:
    """The colours of 0, 1/8, ... 1 as a list for a CSS gradient."""
    colors = xaicore.overlay.colorize(np.linspace(0, 1, 9, dtype=np.float32)[None], colormap)[0]
    return ", ".join("#" + bytes(color).hex() for color in colors)


def _class_name(name: str, index: int) -> str:
    """A class's name, or something better than a bare number where it has none."""
    return f"class {index}" if name == str(index) else name


def _source_hash(text: str) -> str:
    """How a content security policy names a piece of inline style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(class_name=_class_name, source_hash=_source_hash)
    return environment.from_string(files(__package__).joinpath("index.html.jinja").read_text("utf-8"))

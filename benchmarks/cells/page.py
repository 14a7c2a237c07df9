"""docs/methods/table.md, from the cells of all backends, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping

from benchmarks.cells.cells import BACKENDS, KINDS

__all__ = ["page", "read_page"]

Cells = Mapping[str, Mapping[str, "str | None"]]

INTRODUCTION = """\
# Which method works where

`make cells` writes this page: each method explains two classes of two images on a small net of each kind, in PyTorch
and in Keras on TensorFlow, JAX and torch. The tests run cells again and compare them with this page.

- **CNN**: two convolutions, global average pooling, a dense layer; **1-D** and **3-D** the same on signals and volumes.
- **ViT**: patches, a class token, two blocks. **Swin**: attention within windows, a merge, the mean over positions.

A cell says "yes", or why not, by a number below the table.
"""


def page(results: Mapping[str, Cells]) -> str:
    """The page as Markdown, from {backend: {method: {kind: None or a reason}}}."""
    reasons: dict[str, int] = {}
    blocks = [INTRODUCTION]
    for backend in BACKENDS:
        if backend in results:
            lines = [f"## {backend}", "", f"| method | {' | '.join(KINDS)} |", f"|{'---|' * (1 + len(KINDS))}"]
            for method, row in results[backend].items():
                cells = [_cell(row[kind], reasons) for kind in KINDS]
                lines.append(f"| `{method}` | {' | '.join(cells)} |")
            blocks.append("\n".join([*lines, ""]))
    blocks.append("\n".join(["## Why not", "", *(f"{number}. {reason}" for reason, number in reasons.items()), ""]))
    return "\n".join(blocks)


def read_page(text: str) -> dict[str, dict[str, dict[str, str | None]]]:
    """What `page` was made of."""
    reasons = {number: reason for number, reason in re.findall(r"^(\d+)\. (.*)$", text, re.M)}
    found: dict[str, dict[str, dict[str, str | None]]] = {}
    for section in text.split("\n## ")[1:]:
        rows = re.findall(r"^\| `(\S+)` \|(.*)\|$", section, re.M)
        if rows:
            cells = {method: [cell.strip() for cell in row.split("|")] for method, row in rows}
            found[section.partition("\n")[0]] = {
                method: dict(
                    zip(KINDS, (None if one == "yes" else reasons[one.strip("()")] for one in row), strict=True)
                )
                for method, row in cells.items()
            }
    return found


def _cell(reason: str | None, reasons: dict[str, int]) -> str:
    return "yes" if reason is None else f"({reasons.setdefault(_general(reason), len(reasons) + 1)})"


def _general(reason: str) -> str:
    """The words, on one line."""
    return " ".join(reason.split())

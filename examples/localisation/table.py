"""Tables of localisation measures, and the page that holds them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from xaicore.localize import Estimate

__all__ = ["cell", "put", "table"]

Rows = Sequence[tuple[str, Mapping[str, Estimate | float | None]]]
"""The name of a row, and {column: figure}; an Estimate has an interval."""


def table(rows: Rows, columns: Mapping[str, str]) -> str:
    """A Markdown table: a line per entry of `rows`, a column per entry of `columns` {name: heading}."""
    lines = [f"| method | {' | '.join(columns.values())} |", "|---" * (1 + len(columns)) + "|"]
    for name, figures in rows:
        lines.append(f"| {name} | {' | '.join(cell(figures[column]) for column in columns)} |")
    return "\n".join(lines)


def cell(figure: Estimate | float | None) -> str:
    """A figure with its interval, such as "0.36 (0.31, 0.42)"."""
    if figure is None:
        return "-"
    if isinstance(figure, Estimate):
        return f"{figure.value:.2f} ({figure.low:.2f}, {figure.high:.2f})"
    return f"{figure:.2f}"


def put(page: Path, name: str, text: str) -> None:
    """Replace what stands between `<!-- name -->` and `<!-- end -->` on a page.

    Raises:
        ValueError: the page has no such place, or several.
    """
    before = page.read_text(encoding="utf-8")
    place = rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)"
    after, count = re.subn(place, lambda found: f"{found[1]}\n{text}\n\n{found[2]}", before, flags=re.S)
    if count != 1:
        raise ValueError(f"{page} has {count} places <!-- {name} --> ... <!-- end -->: expected one")
    page.write_text(after, encoding="utf-8")

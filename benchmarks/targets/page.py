"""docs/targets/table.md, from the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["LIBRARIES", "page"]

LIBRARIES = {
    "torchvision": "torchvision",
    "transformers": "Transformers",
    "keras_hub": "keras-hub",
    "own": "Nets by hand",
}
"""{module: heading}."""

INTRODUCTION = """\
# Targets on architectures

`make targets` writes this page. It builds each architecture with random weights, most of them small, and explains a
target by Grad-CAM for two or four pictures. The maps are compared with plain autograd on the same module: a hook, the
gradient of the number in question, the mean of each channel, a ReLU; those of keras-hub with TensorFlow's own tape. The
number is computed of the model's answer, without xaicore. No pretrained weights are needed: what a box or a word
depends on is found in the same way.

- **layer**: the one that xaicore found; **bold** where it was named, as for most detectors and for score maps.
- **grid**: the positions of the map; "+ 1" means one token before them, "+ 6 behind" six tokens behind them.
- **maps**: pictures times targets; how many of them have no positive evidence.
- **verdict**: the largest difference of a position, relative to the largest value of the expected maps.
"""

HEADINGS = ("architecture", "target", "layer", "grid", "maps", "verdict")


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The page as Markdown, from {library: {"versions": {package: version}, "rows": [...]}}."""
    rows = [row for result in results.values() for row in result["rows"]]
    explained = [row for row in rows if "difference" in row]
    largest = max((row["difference"] for row in explained), default=0)
    versions = {name: version for result in results.values() for name, version in result["versions"].items()}
    summary = (
        f"{len(explained)} of {len(rows)} are explained, with a difference of {largest:.0e} at most. Versions: "
        f"{', '.join(f'{name} {version}' for name, version in versions.items())}.\n"
    )
    sections = [_section(LIBRARIES[name], result["rows"]) for name, result in results.items()]
    return "\n".join([INTRODUCTION, summary, *sections])


def _section(heading: str, rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"## {heading}", "", f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}"]
    return "\n".join([*lines, *map(_line, rows), ""])


def _line(row: Mapping[str, Any]) -> str:
    name = row["name"]
    if "difference" not in row:
        why = next(f"{key.replace('_', ' ')}: {row[key]}" for key in ("refused", "failed", "not_built") if key in row)
        return f"| {name} | {row['target']} | | | | {why.replace('|', '/')} |"
    layer = f"**`{row['layer']}`**" if row["named"] else f"`{row['layer']}`"
    maps = f"{row['rows']}, {row['empty']} empty" if row["empty"] else str(row["rows"])
    return f"| {name} | {row['target']} | {layer} | {row['grid']} | {maps} | {row['difference']:.0e} |"

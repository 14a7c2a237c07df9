"""docs/models.md, from the results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.models.zoo import LIBRARIES

__all__ = ["page"]

INTRODUCTION = """\
# Architectures

`make models` writes this page. It builds each architecture with random weights, most of them small, and explains three
classes of one random input by Grad-CAM, without naming a layer. The maps are compared with plain autograd on the same
module: a hook, `autograd.grad` (`GradientTape` in Keras), the mean gradient of each channel, a ReLU. No pretrained
weights are needed: where a layer's positions lie does not depend on them.

- **layer**: the one that xaicore found; **output** its shape, as the framework has it.
- **axes**: a letter per axis of that shape: n images, c channels, h w d t positions, l tokens.
- **grid**: the positions of the map; **+ 1** means one prefix token, such as a class token, which is left out.
- **own pixels**: of tokens, and of layers of PyTorch with their channels last, how many of the tried positions (the
  corners and the middle) respond more than any other to a change of their own pixels. A wrong order of the positions
  or a wrong number of prefix tokens would show here. Nets that mix all positions without a residual path, such as LeViT
  where it subsamples, respond everywhere.
- **difference**: the largest difference of a position, relative to the largest value of the expected maps.
"""


HEADINGS = ("architecture", "layer", "output", "axes", "grid", "own pixels", "difference")


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The page as Markdown, from {library: {"versions": {package: version}, "rows": [...]}}."""
    rows = [row for result in results.values() for row in result["rows"]]
    shown = [row for row in rows if "layer" in row]
    empty = [row["name"] for row in shown if not row["largest"]]
    largest = max((row["difference"] for row in shown), default=0)
    versions = {name: version for result in results.values() for name, version in result["versions"].items()}
    summary = (
        f"{len(shown)} architectures are explained, with a difference of {largest:.0e} at most; "
        f"{_count(rows, 'refused')} are refused. Versions: "
        f"{', '.join(f'{name} {version}' for name, version in versions.items())}.\n"
    )
    blocks = [INTRODUCTION, summary]
    if empty:
        blocks.append(f"No class has positive evidence in {', '.join(empty)}: their maps are zeros.\n")
    for library, heading in LIBRARIES.items():
        if library in results:
            blocks.append(_section(heading, results[library]["rows"]))
    return "\n".join(blocks)


def _section(heading: str, rows: Iterable[Mapping[str, Any]]) -> str:
    lines = [f"## {heading}", ""]
    explained = [row for row in rows if "layer" in row]
    if explained:
        lines += [f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}"]
        lines += [_line(row) for row in explained]
    for key, title in (
        ("refused", "Refused, because the facts do not settle what the map would mean:"),
        ("failed", "Failed:"),
        ("not_built", "Not built by these versions:"),
    ):
        found = [row for row in rows if key in row]
        if found:
            lines += ["", title, ""]
            lines += [f"- {row['name']}, input {_shape(row['input'])}: {_message(row[key])}" for row in found]
    return "\n".join([*lines, ""])


def _line(row: Mapping[str, Any]) -> str:
    grid = " x ".join(map(str, row["size"])) + (f" + {row['prefix']}" if row["prefix"] else "")
    cells = [
        row["name"],
        f"`{row['layer']}` {row['type']}",
        _shape(row["shape"]),
        f"`{row['axes']}`",
        grid,
        "{} of {}".format(*row["responding"]) if "responding" in row else "",
        f"{row['difference']:.0e}" if row["difference"] else "0",
    ]
    return f"| {' | '.join(map(_text, cells))} |"


def _shape(shape: Iterable[int]) -> str:
    return f"({', '.join(map(str, shape))})"


def _message(words: str) -> str:
    """The first line of a message, which is no link and no table."""
    return _text(words.splitlines()[0])[:300].replace("](", "] (")


def _text(words: str) -> str:
    return " ".join(words.replace("|", "\\|").split())


def _count(rows: Iterable[Mapping[str, Any]], key: str) -> int:
    return sum(key in row for row in rows)

"""The Python of the documentation, run as it stands there."""

from __future__ import annotations

import json
import re
from typing import Any

from processes import ROOT


def text(page: str, section: str | None = None) -> str:
    """A page, given by its path in the repository, or one of its sections."""
    whole = (ROOT / page).read_text(encoding="utf-8")
    return whole if section is None else whole.split(f"\n## {section}\n")[1].split("\n## ")[0]


def blocks(page: str, section: str | None = None) -> list[str]:
    """The Python blocks of a page or a section."""
    return re.findall(r"```python\n(.*?)```", text(page, section), re.S)


def run(page: str, section: str | None = None, names: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run them, one after the other, with these names, and return the names that they define, too."""
    names = {} if names is None else names
    for block in blocks(page, section):
        exec(compile(block, page, "exec"), names)
    return names


def run_notebook(page: str) -> dict[str, Any]:
    """Run the code of a notebook's cells in order, and return the names that they define."""
    cells = json.loads((ROOT / page).read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            assert not cell["outputs"], f"{page} is kept without outputs: the site makes them"
            exec(compile("".join(cell["source"]), f"{page}, {cell['id']}", "exec"), names)
    return names

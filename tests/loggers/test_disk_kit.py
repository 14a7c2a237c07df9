"""The contract of loggers, checked on the disk's as a stranger's author would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import xaicore_disk
from xaicore import testing


class TestDisk(testing.LoggerTests):
    plugin = xaicore_disk
    frameworks = ("torch", "keras")

    def options(self, folder: Path) -> dict[str, Any]:
        return {"root": folder}

    def rows(self, folder: Path) -> list[dict[str, Any]]:
        """Of the manifest, whose last row of a map counts."""
        rows = map(json.loads, (folder / "manifest.jsonl").read_text().splitlines())
        keys = ("step", "group", "k", "method", "layer")
        return list({(row["slot"] if row["group"] else row["id"], *map(row.get, keys)): row for row in rows}.values())

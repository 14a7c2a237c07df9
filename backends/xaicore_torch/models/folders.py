"""Folders of models: which library wrote one, by its config.json."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["folder_library", "model_folder"]


def folder_library(text: str) -> str | None:
    """The library that reads a folder: "hf", "timm", or None where it is no folder of theirs."""
    try:
        config = json.loads((Path(text).expanduser() / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(config, dict):
        return None
    if "architectures" in config or "model_type" in config:
        return "hf"
    return "timm" if "architecture" in config else None


def model_folder(*names: str) -> str | None:
    """The first of these names that is a folder with a config.json; None where none is."""
    for name in names:
        folder = Path(name).expanduser()
        if (folder / "config.json").is_file():
            return str(folder)
    return None

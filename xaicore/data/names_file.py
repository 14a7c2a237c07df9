"""Files of class names: one name per line, or JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from xaicore.errors import InputError, nearest_file

__all__ = ["read_names", "read_text"]


def read_names(file: str | os.PathLike[str], origin: str) -> Sequence[str] | Mapping[str, str]:
    """Class names in class order, one per line; of a .json file a list, or {"index": name}.

    Args:
        file: its path.
        origin: the argument and its value, for messages.

    Raises:
        InputError: the file cannot be read, or does not hold class names.
    """
    path = os.fsdecode(file)
    content = read_text(path, origin)
    found = _from_json(content, origin) if path.lower().endswith(".json") else content.rstrip().splitlines()
    named = found.items() if isinstance(found, Mapping) else enumerate(found)
    stripped = {index: name.strip() for index, name in named}
    if not stripped:
        raise InputError(f"{origin}: no names in it; expected one per line")
    blank = [index for index, name in stripped.items() if not name]
    if blank:
        raise InputError(f"{origin}: class {blank[0]} has no name; expected one per line, without empty lines")
    return (
        {str(index): name for index, name in stripped.items()} if isinstance(found, Mapping) else [*stripped.values()]
    )


def read_text(file: str, origin: str) -> str:
    """The text of a file in UTF-8.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    try:
        return Path(file).expanduser().read_text(encoding="utf-8-sig")
    except FileNotFoundError as exc:
        raise InputError(f"{origin}: no such file (in {os.getcwd()}){nearest_file(file)}") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise InputError(f"{origin} cannot be read: {exc}") from exc


def _from_json(content: str, origin: str) -> Sequence[str] | Mapping[str, str]:
    try:
        found = json.loads(content)
    except ValueError as exc:
        raise InputError(f"{origin} is not valid JSON: {exc}") from exc
    names = found.values() if isinstance(found, dict) else found
    if not isinstance(found, (list, dict)) or not all(isinstance(name, str) for name in names):
        raise InputError(f'{origin}: expected a list of names, or {{"0": name, "1": name, ...}} without gaps')
    return found

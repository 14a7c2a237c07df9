"""Files of weights that are named and do not exist."""

from __future__ import annotations

import os
import re

from xaicore.errors import InputError, nearest_file

__all__ = ["check_weights"]


def check_weights(weights: str | None) -> None:
    """Refuse a file that does not exist, where another resembles it; else the plugin says which weights there are."""
    path = os.path.expanduser(weights or "")
    is_file = re.search(r"\.[a-z][a-z0-9]{0,10}$", path)  # names that libraries give to their weights have no suffix
    near = nearest_file(path) if is_file and not os.path.exists(path) else ""
    if near:
        raise InputError(f"weights={weights!r}: no such file (in {os.getcwd()}){near}")

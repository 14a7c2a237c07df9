"""File names made of untrusted text: ids, names of runs and of methods.

A name keeps what is harmless of the text, for people, and ends in a hash, so that different things never share
a file.
"""

from __future__ import annotations

from xaicore import show
from xaicore.show import digest

__all__ = ["digest", "folder_name", "slug"]


def slug(text: str, length: int = 80) -> str:
    """The part of the text that is harmless in a path, a shell and a URL; never empty, no leading hyphen."""
    return show.slug(text, length).lstrip("-") or "_"


def folder_name(name: str) -> str:
    """A run's name as it is where that is harmless, else its slug and hash."""
    safe = slug(name)
    return safe if safe == name else f"{safe}-{digest(name)}"

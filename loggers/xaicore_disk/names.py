"""File names made of untrusted text: ids, names of runs and of methods.

A name keeps the harmless characters of the text, for people, and ends in a hash, so that different texts never share
a file.
"""

from __future__ import annotations

from xaicore import show
from xaicore.show import digest

__all__ = ["digest", "folder_name", "slug"]


def slug(text: str, length: int = 80) -> str:
    """The characters of the text that are harmless in a path, a shell and a URL; never empty, no leading hyphen."""
    return show.slug(text, length).lstrip("-") or "_"


def folder_name(name: str) -> str:
    """A run's name if it is harmless, else its slug and hash."""
    safe = slug(name)
    return safe if safe == name else f"{safe}-{digest(name)}"

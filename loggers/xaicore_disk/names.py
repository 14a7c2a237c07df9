"""File names made of text that nobody vouches for: ids, names of runs and of methods.

A name keeps what is harmless of the text, for people, and ends in a hash, so that different things never share
a file.
"""

from __future__ import annotations

import hashlib
import re

__all__ = ["digest", "folder_name", "slug"]

UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


def slug(text: str, length: int = 80) -> str:
    """What of the text is harmless in a path, a shell and a URL; never empty, no leading hyphen."""
    return UNSAFE.sub("_", text)[:length].lstrip("-") or "_"


def digest(*parts: str | bytes) -> str:
    """16 hexadecimal digits of the parts; ("ab", "c") and ("a", "bc") differ."""
    found = hashlib.blake2b(digest_size=8)
    for part in parts:
        # A file name that is no UTF-8 reaches Python as lone surrogates.
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        found.update(len(data).to_bytes(8, "little"))
        found.update(data)
    return found.hexdigest()


def folder_name(name: str) -> str:
    """A run's name as it is where that is harmless, else its slug and hash."""
    safe = slug(name)
    return safe if safe == name else f"{safe}-{digest(name)}"

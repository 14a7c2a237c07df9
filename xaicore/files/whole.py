"""Files are written as a whole or not at all.

A file is written under a temporary name, flushed to the disk and renamed; then its folder is flushed. A reader
therefore sees the old file or the new one, also after a power failure.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from xaicore.files.failures import ADVICE, file_errors

__all__ = ["TEMPORARY", "unfinished", "write_whole"]

TEMPORARY = ".xaicore-tmp"
"""The ending of the names of unfinished files."""


def unfinished(path: Path) -> Path:
    """The temporary name under which a file is written."""
    return path.with_name(f".{path.name}{TEMPORARY}")


def write_whole(path: Path, content: bytes | Callable[[Path], object], advice: str = ADVICE) -> None:
    """Write a whole file, replacing the old one. One writer at a time: callers have a lock of their own.

    Args:
        path: of the file.
        content: its bytes, or a function that writes the file at the path that it is given.
        advice: as of `file_errors`.

    Raises:
        LoggerError: the system refuses; no unfinished file is left.
    """
    temporary = unfinished(path)
    with file_errors(path, advice=advice):
        try:
            if callable(content):
                content(temporary)
            else:
                with open(temporary, "wb") as file:
                    file.write(content)
            _flush(temporary)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if os.name != "nt":  # Windows opens no folders, and needs no flush
            _flush(path.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

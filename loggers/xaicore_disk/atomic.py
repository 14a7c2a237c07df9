"""Whole files or none, whatever happens, and errors that say what to do.

A file is written beside its place, flushed to the disk and renamed; the folder is flushed after that. A reader
therefore sees the old file or the new one, also after a power failure.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xaicore

__all__ = ["TEMPORARY", "explained", "write"]

TEMPORARY = ".xaicore-tmp"
"""What the names of unfinished files end in."""

REMEDIES = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "free some of your disk quota",
    errno.EACCES: "make the folder writable",
    errno.EPERM: "make the folder writable",
    errno.EROFS: "the file system is read-only",
    errno.EEXIST: "there is a file where a folder should be",
    errno.ENOTDIR: "there is a file where a folder should be",
}


@contextmanager
def explained(path: Path, refused: str = "write") -> Iterator[None]:
    """Give what the system refuses to do at `path` the form of a LoggerError."""
    try:
        yield
    except xaicore.LoggerError:
        raise  # it is an OSError, too
    except OSError as exc:
        remedy = REMEDIES.get(exc.errno or 0, "look at that path")
        raise xaicore.LoggerError(
            f"cannot {refused} {path}: {exc.strerror or exc}; {remedy}, or choose another folder "
            "for the run: the option root, on the command line --out"
        ) from exc


def write(path: Path, data: bytes) -> None:
    """Put a whole file at `path`, replacing what was there. One writer at a time: see `RunFolder.locked`.

    Raises:
        LoggerError: the system refuses; nothing is left behind.
    """
    unfinished = path.with_name(f".{path.name}{TEMPORARY}")
    with explained(path):
        try:
            with open(unfinished, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder last; Windows opens no folders, and needs none of this."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

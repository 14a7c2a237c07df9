"""Files are written as a whole or not at all, and errors say what to do.

A file is written under a temporary name, flushed to the disk and renamed; then its folder is flushed. A reader
therefore sees the old file or the new one, also after a power failure.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xaicore

__all__ = ["TEMPORARY", "logger_errors", "write"]

TEMPORARY = ".xaicore-tmp"
"""The ending of the names of unfinished files."""

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
def logger_errors(path: Path, action: str = "write") -> Iterator[None]:
    """Turn an OSError at `path` into a LoggerError with a remedy."""
    try:
        yield
    except xaicore.LoggerError:
        raise  # also an OSError
    except OSError as exc:
        remedy = REMEDIES.get(exc.errno or 0, "check that path")
        raise xaicore.LoggerError(
            f"cannot {action} {path}: {exc.strerror or exc}; {remedy}, or choose another folder "
            "for the run: the option root, on the command line --out"
        ) from exc


def write(path: Path, data: bytes) -> None:
    """Write a whole file at `path`, replacing the old one. One writer at a time: see `RunFolder.locked`.

    Raises:
        LoggerError: the system refuses; no unfinished file is left.
    """
    unfinished = path.with_name(f".{path.name}{TEMPORARY}")
    with logger_errors(path):
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
    """Flush a rename in this folder to the disk; Windows opens no folders, and needs no flush."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Files of a run are written as a whole or not at all; an error says what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from xaicore.errors import LoggerError

__all__ = ["folder_errors", "write_whole"]

REMEDIES = {
    errno.ENOSPC: "free some space on that disk, and start again with resume=True: finished parts are kept",
    errno.EDQUOT: "free some of your disk quota, and start again with resume=True: finished parts are kept",
    errno.EACCES: "make the folder writable, or choose another out",
    errno.EPERM: "make the folder writable, or choose another out",
    errno.EROFS: "the file system is read-only: choose another out",
    errno.EEXIST: "there is a file where a folder should be: choose another out",
    errno.ENOTDIR: "there is a file where a folder should be: choose another out",
}


@contextmanager
def folder_errors(path: Path, action: str = "write") -> Iterator[None]:
    """Turn an OSError at `path` into a LoggerError with a remedy."""
    try:
        yield
    except LoggerError:
        raise  # also an OSError
    except OSError as exc:
        remedy = REMEDIES.get(exc.errno or 0, "check that path, or choose another out")
        raise LoggerError(f"cannot {action} {path}: {exc.strerror or exc}; {remedy}") from exc


def write_whole(path: Path, write: Callable[[Path], object], is_durable: bool = True) -> None:
    """Write a file under a temporary name, and rename it; the caller is its only writer.

    Args:
        path: of the file.
        write: writes the file at the path that it is given.
        is_durable: flush the file and its folder to the disk, so that it outlives a power failure, too.

    Raises:
        LoggerError: the system refuses; no unfinished file is left.
    """
    unfinished = path.with_name(f".{path.name}.tmp")
    with folder_errors(path):
        try:
            write(unfinished)
            if is_durable:
                _flush(unfinished)
            os.replace(unfinished, path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        if is_durable and os.name != "nt":  # Windows opens no folders, and needs no flush
            _flush(path.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

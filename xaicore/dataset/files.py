"""Files of a run are written as a whole or not at all; an error says what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from xaicore.errors import LoggerError

__all__ = ["folder_errors", "unfinished", "write_whole"]

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


def unfinished(path: Path) -> Path:
    """The temporary name under which a file is written."""
    return path.with_name(f".{path.name}.tmp")


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under a temporary name, flush it to the disk, and rename it; the caller is its only writer.

    Args:
        path: of the file.
        write: writes the file at the path that it is given.

    Raises:
        LoggerError: the system refuses; no unfinished file is left.
    """
    temporary = unfinished(path)
    with folder_errors(path):
        try:
            write(temporary)
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

"""What the errors of files say."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xaicore.errors import LoggerError

__all__ = ["ADVICE", "file_errors"]

ADVICE = "choose another folder"
"""What else to do, where the caller does not say it."""

REMEDIES = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "free some of your disk quota",
    errno.EACCES: "make the folder writable",
    errno.EPERM: "make the folder writable",
    errno.EROFS: "the file system is read-only",
    errno.EEXIST: "there is a file where a folder should be",
    errno.EISDIR: "there is a folder of that name: remove it",
    errno.ENOTDIR: "there is a file where a folder should be",
}


@contextmanager
def file_errors(path: Path, action: str = "write", advice: str = ADVICE) -> Iterator[None]:
    """Turn an OSError at `path` into a LoggerError with a remedy.

    Args:
        path: a file or a folder, for the message.
        action: what was tried: the message begins with "cannot write /runs/a".
        advice: what else to do, such as "pass another out".
    """
    try:
        yield
    except LoggerError:
        raise  # also an OSError
    except OSError as exc:
        remedy = REMEDIES.get(exc.errno or 0, "check that path")
        raise LoggerError(f"cannot {action} {path}: {exc.strerror or exc}; {remedy}, or {advice}") from exc

"""The folder of a run: one writer at a time, in any number of processes.

Every change happens under the lock. Its holder therefore knows that an unfinished file belongs to a writer that
died, and that the files of a row exist before the row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

import xaicore
from xaicore_disk import atomic, manifest

__all__ = ["RunFolder", "check_folder"]

PATIENCE = 60.0
"""Seconds to wait for other writers: far longer than any change takes, but a training run must not hang."""


FILES = {".gif", ".html", ".jpeg", ".jpg", ".npy", ".pdf", ".png", ".svg", ".txt", ".webp"}
"""Endings of files that people want, and that a run is not."""


class RunFolder:
    """A run's folder: its paths, its lock and the changes of its files.

    Raises:
        LoggerError: the folder cannot be made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()  # the working directory may change during a run
        self.manifest = self.root / "manifest.jsonl"
        self.about = self.root / "run.json"
        self.page = self.root / "index.html"
        with atomic.logger_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(self.root / ".lock", timeout=PATIENCE)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only writer. The system frees the lock of a writer that dies.

        Raises:
            LoggerError: another writer holds the lock for too long, or the file system has no locks.
        """
        path = Path(self._lock.lock_file)
        with atomic.logger_errors(path):
            try:
                self._lock.acquire(poll_interval=0.005)
            except filelock.Timeout as exc:
                raise xaicore.LoggerError(
                    f"{self.root} is in use: another process has held {path.name} for {self._lock.timeout:g} s; "
                    "end that process, or choose another folder for the run"
                ) from exc
        try:
            yield
        finally:
            self._lock.release()

    def has(self, name: str) -> bool:
        """Whether this file exists. Its name holds a hash of its content, so its content never changes."""
        return (self.root / name).exists()

    def add(self, name: str, data: bytes) -> None:
        """Write a file unless it exists. Under the lock."""
        if not self.has(name):
            path = self.root / name
            with atomic.logger_errors(path.parent):
                path.parent.mkdir(exist_ok=True)
            atomic.write(path, data)

    def clean(self) -> None:
        """Remove unfinished files of dead writers, and files of replaced rows. Under the lock."""
        stale = [self.root / name for name in manifest.superseded_files(self.manifest)]
        for name in ("", *manifest.FOLDERS):
            stale.extend((self.root / name).glob(f".*{atomic.TEMPORARY}"))
        for path in stale:
            with atomic.logger_errors(path):
                path.unlink(missing_ok=True)


def check_folder(root: Path) -> Path:
    """A run's folder, whose name is not that of a picture or a document.

    Raises:
        InputError: it is; no folder is called so by intention.
    """
    if root.suffix.lower() in FILES and not root.is_dir():
        raise xaicore.InputError(
            f"{str(root)!r} names a file, and the disk logger writes a folder with pictures, maps and a page: pass "
            f"{str(root.with_suffix(''))!r}; for one figure, call explanation.plot({str(root)!r})"
        )
    return root

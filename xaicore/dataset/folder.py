"""The folder of a run: its description, its parts, and who works on which.

    out/run.json                     the fingerprint, the plan, versions
    out/parts/part-00000.parquet     the rows of shard 0: whole, or not there
    out/attempts/00000.json          what the process of shard 0 is working on, see `journal`
    out/attempts/00000.lock          held by that process; the system frees it when the process dies
    out/start.json, start.lock       the same before the run, see `start`; stays where an element ends the process

A shard is done when its part is there.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from xaicore.dataset import files
from xaicore.dataset.fingerprint import Fingerprint
from xaicore.dataset.journal import Journal
from xaicore.errors import DependencyError, InputError, LoggerError
from xaicore.files import unfinished

__all__ = ["Claim", "RunFolder", "file_lock"]

FORMAT = 1
"""The version of this layout."""

PATIENCE = 60.0
"""Seconds to wait for another process that opens the same folder."""


class Claim:
    """The right to make one shard, until it is released or the process dies.

    Attributes:
        shard: its number.
        journal: what this process notes.
    """

    def __init__(self, shard: int, lock: Any, journal: Path) -> None:
        self.shard = shard
        self._lock = lock
        self.journal = Journal(journal)

    def release(self, is_done: bool) -> None:
        """Let go of the shard, which is done, or which another process may make."""
        try:
            if is_done:
                self.journal.remove()
            else:
                self.journal.keep()
        finally:  # the disk may be full
            self._lock.release()


class RunFolder:
    """The folder of one run; cheap to make, in any process.

    Args:
        root: its path.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()  # the working directory may change during a run
        self.about = self.root / "run.json"
        self.parts = self.root / "parts"
        self.attempts = self.root / "attempts"
        self.start = self.root / "start.json"

    @classmethod
    def at(cls, out: Any) -> RunFolder:
        """The folder that a caller's `out` names.

        Raises:
            InputError: it is no path.
        """
        if not isinstance(out, (str, os.PathLike)) or not os.fspath(out):
            raise InputError(
                f"out={out!r}: expected the path of a folder, such as 'runs/val', which is made if there is none"
            )
        return cls(Path(out))

    def part(self, shard: int) -> Path:
        """The file of a shard's rows."""
        return self.parts / f"part-{shard:05}.parquet"

    def is_done(self, shard: int) -> bool:
        """Whether the shard's rows are written."""
        return self.part(shard).exists()

    def missing(self, shards: Iterable[int]) -> list[int]:
        """Those of the shards that are not done."""
        return [shard for shard in shards if not self.is_done(shard)]

    def check_outside(self, paths: Iterable[str]) -> None:
        """Refuse pictures that this run, or its page, has written.

        Raises:
            InputError: one of these files lies in the folder.
        """
        inside = os.path.join(self.root, "")
        own = next((path for path in paths if os.path.abspath(path).startswith(inside)), None)
        if own is not None:
            raise InputError(
                f"out={str(self.root)!r} has pictures of the source, such as {own!r}: pass an out outside of the "
                "source; a run that has begun there can be moved"
            )

    def open(self, fingerprint: Fingerprint, about: Mapping[str, Any], resume: bool) -> bool:
        """Begin the run, or go on with it; whether it had been begun.

        Args:
            fingerprint: what the run is of.
            about: more about it.
            resume: go on with a run that is there.

        Raises:
            InputError: the folder is of another run, or has parts of this one and `resume` is False.
            LoggerError: it cannot be written.
        """
        self.read()  # refuses what is no folder
        with files.run_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        with self._locked():
            found = self.read()
            if found is None:
                self._check_empty()
                content = {"format": FORMAT, "fingerprint": fingerprint.values, **about}
                text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
                files.write(self.about, text.encode())
        if found is None:
            self._make_folders()
            return False
        differences = fingerprint.differences(Fingerprint(found["fingerprint"]))
        if differences:
            raise InputError(
                f"out={str(self.root)!r} is of another run, which differs in {'; '.join(differences)}. Pass another "
                "out, or what that run was made with"
            )
        if not resume and any(self.parts.glob("part-*.parquet")):  # else nothing is done that could be meant
            raise InputError(
                f"out={str(self.root)!r} is of this run already: pass resume=True to go on with it, or another out"
            )
        self._make_folders()
        return True

    def check(self) -> None:
        """Refuse what is no folder, or has files that are not of a run.

        Raises:
            InputError: see above.
        """
        if self.read() is None and self.root.exists():
            try:
                self._check_empty()
            except InputError:
                if self.read() is None:  # no other job has begun the run meanwhile
                    raise

    def read(self) -> dict[str, Any] | None:
        """What run.json says; None where there is no run.

        Raises:
            InputError: the file is not of a data set's run.
        """
        try:
            found = json.loads(self.about.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except NotADirectoryError as exc:
            raise InputError(
                f"out={str(self.root)!r} is a file, or lies in one: pass a folder, which is made if there is none"
            ) from exc
        except (OSError, ValueError) as exc:
            raise InputError(f"{self.about} cannot be read: {exc}; pass another out") from exc
        if not isinstance(found, dict) or found.get("format") != FORMAT or "fingerprint" not in found:
            raise InputError(f"{self.about} is not of a data set's run: pass another out")
        return found

    def claim(self, shard: int) -> Claim | None:
        """The right to make a shard; None where it is done, or another process makes it.

        Raises:
            LoggerError: the folder cannot be written.
        """
        if self.is_done(shard):
            return None
        lock = file_lock(self.attempts / f"{shard:05}.lock", 0)
        if lock is None:
            return None
        if self.is_done(shard):  # meanwhile
            lock.release()
            return None
        return Claim(shard, lock, self.attempts / f"{shard:05}.json")

    def orphans(self, shards: Iterable[int]) -> list[int]:
        """Those of the shards that have a journal: a process died, or is at work, with them."""
        return [shard for shard in shards if (self.attempts / f"{shard:05}.json").exists()]

    def condemn(self, shards: Iterable[int]) -> int:
        """Give up the items that were alone in work in shards whose process is seen to be dead; how many."""
        count = 0
        for shard in self.orphans(shards):
            lock = file_lock(self.attempts / f"{shard:05}.lock", 0)
            if lock is not None:
                count += Journal.condemn(self.attempts / f"{shard:05}.json") is not None
                lock.release()
        return count

    def finish(self) -> None:
        """Remove what only unfinished runs need."""
        with contextlib.suppress(OSError):  # somebody else is still looking
            if not Journal.lost(self.start):
                self.start.unlink(missing_ok=True)
            for file in self.attempts.iterdir():  # locks, and journals of processes that died at the very end
                file.unlink()
            self.attempts.rmdir()

    def _make_folders(self) -> None:
        for folder in (self.parts, self.attempts):
            with files.run_errors(folder):
                folder.mkdir(exist_ok=True)

    def _check_empty(self) -> None:
        own = (".lock", unfinished(self.about).name, self.start.name, "start.lock")  # of a process that died early
        foreign = [path.name for path in self.root.iterdir() if path.name not in own]
        if foreign:
            raise InputError(
                f"out={str(self.root)!r} has files, such as {sorted(foreign)[0]!r}, and no run.json of a data set's "
                "run: pass an empty folder, or a new one"
            )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        lock = file_lock(self.root / ".lock", PATIENCE)
        if lock is None:
            raise LoggerError(
                f"{self.root} is in use: another process has held its .lock for {PATIENCE:g} s; end that process, or "
                "pass another out"
            )
        try:
            yield
        finally:
            lock.release()


def file_lock(path: Path, patience: float) -> Any:
    """A held lock of a file; None where another process holds it for longer than `patience` seconds.

    Raises:
        DependencyError: filelock is not installed.
        LoggerError: the file cannot be made.
    """
    try:
        import filelock
    except ImportError as exc:
        raise DependencyError(f"runs of data sets need filelock: {exc}; pip install filelock") from exc
    lock = filelock.FileLock(path, timeout=patience, thread_local=False)  # another thread releases it
    with files.run_errors(path):
        try:
            lock.acquire(poll_interval=0.02)
        except filelock.Timeout:
            return None
    return lock

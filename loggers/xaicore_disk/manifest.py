"""`manifest.jsonl`: one line per map, a JSON object.

The file only grows. A row's key is (step, id, method, layer, k), in a group of changing images (step, group, slot,
method, layer, k). Of several rows with one key the last one counts, so that a repeated epoch changes nothing. A line
is complete when it ends in a line feed. The next writer cuts off an incomplete line of a killed writer; readers skip
it. They also skip lines of other programs, whose columns are of other types. Rows of older versions lack some of the
columns.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import xaicore
from xaicore_disk import atomic

__all__ = [
    "FILES",
    "FILE_NAME",
    "FOLDERS",
    "append",
    "key",
    "last_step",
    "mend",
    "offsets",
    "read_manifest",
    "rows_at",
    "superseded_files",
]

FILES = (
    *("picture", "overlay", "heatmap", "map", "grey", "outline", "animation", "volume"),
    *("thumbnail", "picture_thumbnail"),
)
"""The columns that name files, relative to the run's folder, with forward slashes; None where there is none."""

TEXTS = (
    *("id", "group", "method", "layer", "asked", "target_name", "predicted_name", "truth_name", "part", "scaling"),
    *FILES,
)
"""The columns that are text, or None."""

NUMBERS = ("step", "slot", "k")
"""Those that are whole numbers, or None."""

FOLDERS = tuple(f"{column}s" for column in FILES)

REQUIRED = ("step", "id", "method", "layer", "k", "picture", "overlay", "heatmap", "map")
"""The columns that rows of every version have."""

FILE_NAME = re.compile(rf"({'|'.join(FOLDERS)})/[A-Za-z0-9_-]+\.(png|npy|webp|gif|nii\.gz)")
"""The names that this package gives to files. A manifest may come from elsewhere and name any file."""

Row = dict[str, Any]
Key = tuple[Any, ...]


def read_manifest(path: str | os.PathLike[str]) -> list[Row]:
    """The rows of a run, the last one of each key, in the order in which the keys first appeared.

    Args:
        path: the manifest, or the run's folder. It may be in use.

    Raises:
        LoggerError: there is no manifest.
    """
    manifest = Path(path)
    if manifest.is_dir():
        manifest = manifest / "manifest.jsonl"
    if not manifest.is_file():
        raise xaicore.LoggerError(f"no manifest at {manifest}: expected a run's folder or its manifest.jsonl")
    return list(rows_at(manifest, offsets(manifest).values()))


def offsets(path: Path) -> dict[Key, int]:
    """The offset of the last row of each key, in the order in which the keys first appeared."""
    return {key(row): at for at, row in _scan(path)}


def last_step(path: Path) -> int | None:
    """The highest step so far; None if no row has a step."""
    return max((row["step"] for _, row in _scan(path) if row["step"] is not None), default=None)


def rows_at(path: Path, offsets: Iterable[int]) -> Iterator[Row]:
    """The rows at these offsets, one by one, because there may be many."""
    with atomic.logger_errors(path, "read"), open(path, "rb") as file:
        for at in offsets:
            file.seek(at)
            yield json.loads(file.readline())


def key(row: Row) -> Key:
    """What identifies a row's map. In a group, an image's position counts and not its id, which changes by step."""
    return row["step"], *xaicore.show.map_key({"group": None, "slot": None, **row})  # older rows have no groups


def superseded_files(path: Path) -> set[str]:
    """The files of replaced rows that no other row shares, to be deleted: only names that match `FILE_NAME`."""
    last = offsets(path)
    files: set[str] = set()
    for at, row in _scan(path):
        if last[key(row)] != at:
            files.update(name for name in _files(row) if FILE_NAME.fullmatch(name))
    if files:
        for at, row in _scan(path):
            if last[key(row)] == at:
                files.difference_update(_files(row))
    return files


def mend(path: Path) -> None:
    """Make the file if there is none, and cut off an incomplete last line.

    Raises:
        LoggerError: the system refuses.
    """
    with atomic.logger_errors(path), FileIO(path, "a+") as file:
        file.truncate(_end_of_whole_lines(file))


def append(path: Path, row: Row) -> None:
    """Add a row, as a whole or not at all, with one write. One writer at a time: see `RunFolder.locked`.

    Raises:
        LoggerError: the system refuses; the earlier rows stay.
    """
    line = json.dumps(row, allow_nan=False).encode() + b"\n"
    with atomic.logger_errors(path), FileIO(path, "a+") as file:
        end = _end_of_whole_lines(file)
        file.truncate(end)
        try:
            while line:  # a second write only on a full disk, to learn the reason
                line = line[file.write(line) :]
            os.fsync(file.fileno())
        except BaseException:
            file.truncate(end)
            raise


def _end_of_whole_lines(file: FileIO, block: int = 65536) -> int:
    """The offset behind the last line feed, searched from the end."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - block)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _scan(path: Path) -> Iterator[tuple[int, Row]]:
    """Complete rows and their offsets. Other lines are skipped with a warning."""
    at, skipped = 0, 0
    with atomic.logger_errors(path, "read"), open(path, "rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                row = _parse(line)
                if row is not None:
                    yield at, row
                skipped += row is None
            at += len(line)
    if skipped:
        warnings.warn(f"{path}: {skipped} lines are no rows and were skipped", RuntimeWarning, stacklevel=2)


def _parse(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    is_row = isinstance(row, dict) and all(name in row for name in REQUIRED) and isinstance(row["id"], str)
    kinds = ((TEXTS, str | None), (NUMBERS, int | None))
    return row if is_row and all(isinstance(row.get(name), kind) for names, kind in kinds for name in names) else None


def _files(row: Row) -> list[str]:
    return [row[name] for name in FILES if row.get(name) is not None]

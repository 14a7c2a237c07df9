"""Several runs on one page, side by side. The page shows the files where they are: nothing is copied."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import xaicore
from xaicore_disk import about, atomic, gallery, manifest
from xaicore_disk.folder import RunFolder
from xaicore_disk.options import Options

__all__ = ["join"]

GENERATOR = b'<meta name="generator" content="xaicore runs">'
"""What pages of several runs have near their beginning."""


def join(paths: Sequence[str | os.PathLike[str]], root: Path | None, options: Options) -> Path:
    """Write a page of these runs, and return its path. Pictures with the same id are the same picture.

    Args:
        paths: folders of runs, or folders whose subfolders are runs.
        root: the page's folder; None for the one in which all runs lie.
        options: how maps are drawn.

    Raises:
        InputError: there are fewer than two runs, or they lie in several folders and no root is given.
        LoggerError: a run cannot be read, or the page's folder holds something else or cannot be written.
    """
    runs = _runs_of(paths)
    if len(runs) < 2:
        raise xaicore.InputError(
            f"one run in {', '.join(map(str, paths))}: pass two or more; a single run has a page of its own, "
            f"{runs[0] / 'index.html'}"
        )
    folder = _page_folder(_common_folder(runs) if root is None else root)
    columns, parts = gallery.Columns(), []
    ids: list[set[str]] = []
    for n, (run, name) in enumerate(zip(runs, _names(runs), strict=True)):
        known, count, rows = _read(run, max(1, gallery.ROWS // len(runs)))
        part = gallery.Part({**known, "name": name}, _link(run, folder.root), count)
        columns.add(rows, n, part.folder)
        parts.append(part)
        ids.append({row["id"] for row in rows})
    _warn_of_strangers(parts, ids)
    with folder.locked():
        atomic.write(folder.page, gallery.render(parts, columns, options).encode("utf-8", "replace"))
    return folder.page


def _runs_of(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Each run once, also where links lead to it, by the name that comes first."""
    runs: dict[str, Path] = {}
    for path in paths:
        for run in _runs_at(Path(os.path.expanduser(path))):
            whole = run.resolve() if ".." in run.parts else run.absolute()  # a link keeps its name
            runs.setdefault(os.path.realpath(run), whole)
    return list(runs.values())


def _runs_at(path: Path) -> list[Path]:
    """The run in this folder, else those in its subfolders, by name."""
    if os.path.isfile(path / "run.json"):
        return [path]
    found = sorted(one.parent for one in path.glob("*/run.json")) if os.path.isdir(path) else []
    if not found:
        what = "no run.json there, and none in its subfolders" if os.path.isdir(path) else "no such folder"
        raise xaicore.LoggerError(
            f"no run at {path}: {what}; expected a folder that the disk logger wrote, such as runs/a"
        )
    return found


def _read(run: Path, most: int) -> tuple[dict[str, Any], int, list[manifest.Row]]:
    """What run.json knows, the number of maps, and the rows of the last of them.

    Raises:
        LoggerError: this logger did not write the run, or it cannot be read.
    """
    path = run / "manifest.jsonl"
    if not path.exists() and (run / "parts").is_dir():
        raise xaicore.LoggerError(
            f"{run} is a table of a data set: xaicore.open_maps({str(run)!r}).page() writes its page, and the gallery "
            "beside it is a run"
        )
    try:
        known, offsets = about.read(RunFolder(run)), list(manifest.offsets(path).values())
        return known, len(offsets), list(manifest.rows_at(path, offsets[-most:]))
    except xaicore.LoggerError as exc:
        reason = str(exc).rpartition("; ")[0]  # what follows is advice for who writes a run
        raise xaicore.LoggerError(
            f"{run} cannot be shown: {reason}; name the others alone, xaicore gallery runs/a runs/b"
        ) from exc


def _common_folder(runs: Sequence[Path]) -> Path:
    parents = {run.parent for run in runs}
    if len(parents) > 1:
        names = ", ".join(sorted(map(str, parents)))
        raise xaicore.InputError(
            f"the runs lie in several folders, {names}: say where their page goes, root='runs/both', on the command "
            "line --out runs/both"
        )
    return parents.pop()


def _page_folder(root: Path) -> RunFolder:
    """The page's folder, in which nothing else would be replaced."""
    remedy = "choose another folder for the page: the option root, on the command line --out"
    if (root / "run.json").exists():
        raise xaicore.LoggerError(f"{root} is a run with a page of its own; {remedy}")
    folder = RunFolder(root)
    if folder.page.exists():
        with atomic.logger_errors(folder.page, "read"), open(folder.page, "rb") as file:
            if GENERATOR not in file.read(4096):
                raise xaicore.LoggerError(f"{folder.page} would be changed, but it is no page of runs; {remedy}")
    return folder


def _names(runs: Sequence[Path]) -> list[str]:
    """The names of the runs' folders; where two are the same, the shortest ends of the paths that tell all apart."""
    for length in range(1, max(len(run.parts) for run in runs) + 1):
        names = ["/".join(run.parts[-length:]) for run in runs]
        if len(set(names)) == len(names):
            break
    return names


def _link(run: Path, root: Path) -> str:
    """What leads from the page to a run's files, as part of a URL: "../a/"."""
    try:
        path = os.path.relpath(os.path.realpath(run), os.path.realpath(root))
    except ValueError as exc:  # Windows
        raise xaicore.InputError(
            f"{run} and {root} are on different drives: put the page on the drive of its runs"
        ) from exc
    return quote(os.fsencode(Path(path).as_posix())) + "/"


def _warn_of_strangers(parts: Sequence[gallery.Part], ids: Sequence[set[str]]) -> None:
    """Warn where no picture of a run is in the first one: nothing would be side by side."""
    for part, names in zip(parts[1:], ids[1:], strict=True):
        if names and ids[0] and not names & ids[0]:
            warnings.warn(
                f"no picture of {part.name!r} is in {parts[0].name!r}: {min(names)!r} and {min(ids[0])!r} are other "
                "ids. Pictures are matched by their ids, on the command line their paths as they were typed",
                RuntimeWarning,
                stacklevel=3,
            )

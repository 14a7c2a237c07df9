"""Tables of pictures: CSV and Parquet files with a column of paths."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xaicore.data.truth import UNKNOWN
from xaicore.errors import InputError, nearest_file
from xaicore.files.arrow import arrow, parquet

__all__ = ["Columns", "is_table", "read_columns"]

SUFFIXES = frozenset((".csv", ".parquet"))

PATHS = ("file", "path", "image")
TRUTH = ("class", "truth", "label")
BOX = ("x0", "y0", "x1", "y1")
"""The names that columns may have; others are left alone."""


@dataclass(frozen=True)
class Columns:
    """What a table says of N pictures.

    Attributes:
        paths: relative ones begin in the table's folder.
        truth: classes, numbers or names, None where unknown; or None.
        ids: or None.
        boxes: N lists of boxes x0, y0, x1, y1, empty where a cell is; or None.
    """

    paths: list[str]
    truth: list[Any] | None
    ids: list[str] | None
    boxes: list[list[list[float]]] | None

    def check_paths(self, table: Any) -> None:
        """Refuse a file that is listed twice: where nothing else names pictures, it is their id.

        Raises:
            InputError: see above.
        """
        found = _repeated(self.paths)
        if found is not None:
            raise InputError(
                f"{table} lists {found!r} more than once, and a picture is found by its id, the path: list each one "
                "once, or add a column id that names the rows apart"
            )


def is_table(path: str | os.PathLike[str]) -> bool:
    """Whether the suffix is that of a table."""
    return Path(os.fsdecode(path)).suffix.lower() in SUFFIXES


def read_columns(path: str | os.PathLike[str]) -> Columns:
    """The pictures of a table with a heading: a column file, path or image; maybe class, truth or label; maybe id;
    maybe x0, y0, x1 and y1.

    Raises:
        InputError: it cannot be read, or has no such column, or two of one meaning.
        DependencyError: pyarrow is not installed.
    """
    path = os.path.expanduser(os.fsdecode(path))
    table = _read(path)
    paths = _column(table, PATHS, path)
    if paths is None:
        raise InputError(
            f"{path} has no column of paths: expected {', '.join(PATHS[:-1])} or {PATHS[-1]} in the heading, which is "
            f"{', '.join(table.column_names)}"
        )
    if not paths or not all(isinstance(one, str) and one for one in paths):
        raise InputError(f"{path}: {'no rows' if not paths else 'a row has no path'}; expected a path in every row")
    folder = os.path.dirname(path)
    found = [os.path.join(folder, one) for one in paths]
    if not os.path.exists(found[0]):
        raise InputError(
            f"{path}: its first picture is {paths[0]!r}, and there is no {found[0]!r}: relative paths begin in the "
            f"table's folder{nearest_file(found[0])}"
        )
    truth = _column(table, TRUTH, path)
    if truth is not None:
        truth = [UNKNOWN if one is None or one == "" else one for one in truth]
    ids = _column(table, ("id",), path)
    repeated = None if ids is None else _repeated(list(map(str, ids)))
    if repeated is not None:
        raise InputError(
            f"{path} has the id {repeated!r} more than once: expected another one in each row; without the column id, "
            "ids are the paths"
        )
    boxes = None
    if all(name in table.column_names for name in BOX):
        rows = zip(*(table.column(name).to_pylist() for name in BOX), strict=True)
        boxes = [[] if None in row else [list(row)] for row in rows]
    return Columns(found, truth, None if ids is None else list(map(str, ids)), boxes)


def _repeated(names: list[str]) -> str | None:
    """The first name that is there twice."""
    return next((name for name, times in Counter(names).items() if times > 1), None)


def _read(path: str) -> Any:
    pyarrow = arrow(f"{path} is a table, which needs pyarrow")
    try:
        if path.lower().endswith(".csv"):
            from pyarrow import csv

            return csv.read_csv(path)
        return parquet().read_table(path)
    except FileNotFoundError as exc:
        raise InputError(f"no such file: {path!r} (in {os.getcwd()}){nearest_file(path)}") from exc
    except (OSError, pyarrow.ArrowException) as exc:
        raise InputError(f"{path} cannot be read as a table: {exc}") from exc


def _column(table: Any, names: tuple[str, ...], path: str) -> list[Any] | None:
    found = [name for name in names if name in table.column_names]
    if len(found) > 1:
        raise InputError(f"{path} has the columns {' and '.join(found)}, which mean the same: keep one of them")
    return table.column(found[0]).to_pylist() if found else None

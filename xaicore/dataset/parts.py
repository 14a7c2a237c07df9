"""The parts of a run on disk, as one numbered list of rows. Only what is asked for is read, one part at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xaicore.dataset.preparation import found_again
from xaicore.dataset.schema import COLUMNS, about_of, schema
from xaicore.errors import InputError, did_you_mean, nearest_file
from xaicore.files.arrow import arrow, parquet
from xaicore.pictures import Preparation

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Parts", "check_columns"]


def check_columns(names: Sequence[str]) -> None:
    """Refuse what is no column.

    Raises:
        InputError: a name is unknown.
    """
    for name in names:
        if name not in COLUMNS:
            raise InputError(f"there is no column {name!r}{did_you_mean(name, COLUMNS)} Columns: {', '.join(COLUMNS)}")


@dataclass(frozen=True, eq=False)
class Parts:
    """The Parquet files of a run, which may not be finished.

    Attributes:
        folder: the run's.
        files: the parts that are written, in the order of the source.
        run: what run.json says; empty where there is none.
        own: the preparation of a run that this process has made, which reading takes from there.
    """

    folder: Path
    files: tuple[Path, ...]
    run: dict[str, Any]
    own: Preparation | None = None

    @classmethod
    def of(cls, folder: Path) -> Parts:
        """Those of a run's folder.

        Raises:
            InputError: it is no such folder.
        """
        files = (folder / "parts").glob("part-*.parquet")
        ordered = tuple(sorted(files, key=lambda path: (len(path.name), path.name)))  # part-99999 before part-100000
        about = folder / "run.json"
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder{nearest_file(str(folder))}")
        if not ordered and not (folder / "parts").is_dir():
            raise InputError(
                f"{folder} has no folder 'parts' with Parquet files: expected the out= of xaicore.explain_dataset"
            )
        try:
            run = json.loads(about.read_text("utf-8")) if about.exists() else {}
        except ValueError as exc:
            raise InputError(f"{about} is no JSON: {exc}") from exc
        return cls(folder, ordered, run)

    @cached_property
    def preparation(self) -> Preparation | None:
        """The run's own, of this process or found again by the model's name; None where it is not known."""
        return self.own or found_again(self.run)

    @property
    def planned(self) -> int | None:
        """How many pictures the run has in all, None where run.json does not say."""
        count = self.run.get("fingerprint", {}).get("pictures")
        return None if count is None else int(count)

    @cached_property
    def starts(self) -> np.ndarray:
        """The number of each file's first row, and of all rows: (files + 1,) int64."""
        counts = [self._file(path).metadata.num_rows for path in self.files]
        return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])

    @cached_property
    def about(self) -> dict[str, Any]:
        """What all maps share, see `schema.about_of`; only the format where there is no map."""
        about: dict[str, Any] = {}
        for path in self.files:
            about = about_of(self._file(path).schema_arrow, str(path))
            if len(about) > 1:
                break
        return about

    def __len__(self) -> int:
        """The number of rows."""
        return int(self.starts[-1])

    def read(self, columns: Sequence[str], rows: np.ndarray | None = None) -> pa.Table:
        """These columns of rows by number, in the order given; None: of all."""
        pa = arrow()
        tables = [table for _, table in self.scan(columns, rows)]
        if not tables:
            return schema().empty_table().select(list(columns))
        table = pa.concat_tables(tables)
        if rows is None:
            return table
        place = np.empty(len(rows), np.int64)
        place[np.argsort(rows, kind="stable")] = np.arange(len(rows))
        return table.take(place)

    def scan(self, columns: Sequence[str], rows: np.ndarray | None = None) -> Iterator[tuple[np.ndarray, pa.Table]]:
        """Part by part, the numbers of the rows, ascending, and these columns of them."""
        check_columns(columns)
        for start, path, chosen in self._chosen(rows):
            table = self._table(path, columns)
            if chosen is None:
                yield start + np.arange(len(table)), table
            else:
                yield start + chosen, table.take(chosen)

    def _chosen(self, rows: np.ndarray | None) -> Iterator[tuple[int, Path, np.ndarray | None]]:
        """For each part with rows that are asked for: its first row's number, its file, and which of its rows."""
        if rows is None:
            yield from ((int(start), path, None) for start, path in zip(self.starts, self.files, strict=False))
            return
        ordered = np.sort(rows)
        ends = np.searchsorted(ordered, self.starts)
        for i in np.flatnonzero(np.diff(ends)):
            start = int(self.starts[i])
            yield start, self.files[i], ordered[ends[i] : ends[i + 1]] - start

    def _table(self, path: Path, columns: Sequence[str]) -> pa.Table:
        found: pa.Table = self._file(path).read(columns=list(columns))
        return found.select(list(columns)).replace_schema_metadata(None)

    def _file(self, path: Path) -> Any:
        try:
            return parquet().ParquetFile(path)
        except (arrow().ArrowInvalid, OSError) as exc:
            if getattr(exc, "errno", None) is not None:  # the system's, not what pyarrow says of the content
                raise InputError(f"{path} cannot be read: {exc}; open the maps again where it can be") from exc
            reason = str(exc).rstrip(".")
            raise InputError(f"{path} is no whole Parquet file: {reason}; remove it, and resume the run") from exc

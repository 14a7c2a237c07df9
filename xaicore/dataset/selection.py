"""Rows of a run, chosen and in an order, which are read from its files as they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xaicore.dataset.choosing import numbers_where
from xaicore.dataset.counts import Counts
from xaicore.dataset.parts import Parts
from xaicore.dataset.schema import COLUMNS
from xaicore.errors import DependencyError
from xaicore.files.arrow import arrow

if TYPE_CHECKING:
    import pandas
    import pyarrow as pa
    from typing_extensions import Self

__all__ = ["WITHOUT_MAPS", "Selection"]

WITHOUT_MAPS = tuple(name for name in COLUMNS if name != "map")


class Selection:
    """Some rows of a run.

    Args:
        parts: the run's files.
        rows: numbers of rows in the order of this table; None for all of them.
    """

    def __init__(self, parts: Parts, rows: np.ndarray | None = None) -> None:
        self._parts, self._rows = parts, rows

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self._parts.folder

    @property
    def run(self) -> dict[str, Any]:
        """What run.json says of the run."""
        return self._parts.run

    def __len__(self) -> int:
        """The number of rows."""
        return len(self._parts) if self._rows is None else len(self._rows)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.folder.name}: {self.counts.words()}>"

    @cached_property
    def counts(self) -> Counts:
        """How many pictures, maps, mistakes and errors there are, and how many pictures the run has in all."""
        table = self.to_arrow(("position", "right", "error", "method", "layer"))
        return Counts.of(table, self._parts.about, self._parts.planned if self._rows is None else None)

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows as a table of pyarrow, in memory: all columns but `map` where `columns` is None."""
        return self._parts.read(WITHOUT_MAPS if columns is None else columns, self._rows)

    def to_pandas(self, columns: Sequence[str] | None = None) -> pandas.DataFrame:
        """The same as a DataFrame.

        Raises:
            DependencyError: pandas is not installed.
        """
        try:
            import pandas  # noqa: F401
        except ImportError as exc:
            raise DependencyError(f"to_pandas() needs pandas: {exc}; pip install pandas, or call to_arrow()") from exc
        return self.to_arrow(columns).to_pandas()

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows part by part, with all columns unless these are chosen; in the order of the source."""
        for _, table in self._parts.scan(tuple(COLUMNS) if columns is None else columns, self._rows):
            yield table

    def filter(self, condition: Any) -> Self:
        """The rows for which a condition holds, in their order.

        Args:
            condition: an expression of pyarrow, such as `pyarrow.compute.field("score") < 0.5`; a function of a row, a
                dict of all columns but `map`; or one bool per row, such as a column of `to_pandas()` compared.

        Raises:
            InputError: it is none of these, or names an unknown column.
        """
        found = numbers_where(self._parts, self._rows, condition, WITHOUT_MAPS)
        return self._take(np.flatnonzero(np.isin(self._numbers, found)))

    def of_ids(self, ids: Sequence[str]) -> Self:
        """The rows of the pictures with these names, in the order of the table; a name that is unknown has none."""
        condition = arrow().compute.field("id").isin(arrow().array(ids, arrow().string()))
        found = numbers_where(self._parts, self._rows, condition, ("id",))
        return self._take(np.flatnonzero(np.isin(self._numbers, found)))

    @property
    def _numbers(self) -> np.ndarray:
        return np.arange(len(self._parts)) if self._rows is None else self._rows

    def _take(self, places: np.ndarray) -> Self:
        """Rows by their place in this table."""
        return type(self)(self._parts, self._numbers[places])

"""Mean maps of groups of rows, read part by part: memory grows with the number of groups, not of rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from xaicore import maps
from xaicore.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Means", "finest", "maps_in"]


class Means:
    """The mean of the maps of each group; each map counts alike, since it is divided by its own maximum.

    Maps of several sizes are resampled to the finest one.

    Args:
        groups: (rows,) the group of each row by its number, -1 for none.
        count: of groups.
        shape: of the means.
    """

    def __init__(self, groups: np.ndarray, count: int, shape: tuple[int, ...]) -> None:
        self._groups, self._shape = groups, shape
        self._sums = np.zeros((count, *shape), np.float64)
        self._counts = np.zeros(count, np.int64)

    def add(self, numbers: np.ndarray, table: pa.Table) -> None:
        """Rows by number, with the columns `map` and `map_shape`; all of them are in a group."""
        members = self._groups[numbers]
        np.add.at(self._sums, members, maps_in(table, self._shape))
        np.add.at(self._counts, members, 1)

    def of(self, group: int) -> np.ndarray | None:
        """The mean map of a group, float32 (*shape); None where it has no rows."""
        if not self._counts[group]:
            return None
        mean: np.ndarray = (self._sums[group] / self._counts[group]).astype(np.float32)
        return mean


def finest(columns: Iterable[pa.ChunkedArray]) -> tuple[int, ...]:
    """The largest of the shapes in columns `map_shape`; () where there are no rows.

    Raises:
        InputError: they have different numbers of axes.
    """
    found: set[tuple[int, ...]] = set()
    for shapes in columns:
        found.update(map(tuple, shapes.to_pylist()))
    if len({len(shape) for shape in found}) > 1:
        listed = " and ".join(map(str, sorted(found)[:4]))
        raise InputError(f"maps of shapes {listed} have no common mean: filter the table to those of one kind first")
    return max(found, key=lambda shape: int(np.prod(shape)), default=())


def maps_in(table: pa.Table, size: tuple[int, ...]) -> np.ndarray:
    """The maps of a table's rows as float32 (rows, *size), each divided by its maximum; others are resampled."""
    column = table["map"].combine_chunks()
    values = column.flatten().to_numpy(zero_copy_only=False)
    shapes = table["map_shape"].to_pylist()
    if all(tuple(shape) == size for shape in shapes):
        return values.reshape(len(table), *size).astype(np.float32)
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    pieces = zip(np.split(values, ends), shapes, strict=True)
    return np.stack([maps.resize(piece.reshape(1, *shape).astype(np.float32), size)[0] for piece, shape in pieces])

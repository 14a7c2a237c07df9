"""Which rows of a table a condition holds for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xaicore.dataset.parts import Parts
from xaicore.errors import InputError, type_name
from xaicore.files.arrow import arrow, scanning

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["numbers_where"]

PLACE = "place"
"""A column beside the others: the place of a row in a part."""


def numbers_where(parts: Parts, rows: np.ndarray | None, condition: Any, columns: Sequence[str]) -> np.ndarray:
    """The numbers of the rows for which a condition holds; see `MapTable.filter`.

    Args:
        parts: the run's files, which are read one by one.
        rows: numbers of the rows to look at, in the order of the table; None for all.
        condition: what is asked.
        columns: what a condition may ask for.

    Raises:
        InputError: the condition is none, or names an unknown column.
    """
    if isinstance(condition, scanning().Expression):
        holds = _expression
    elif callable(condition):
        holds = _function
    else:
        count = len(parts) if rows is None else len(rows)
        found = np.flatnonzero(_checked(condition, count))
        return found if rows is None else rows[found]
    hits = [numbers[holds(table, condition)] for numbers, table in parts.scan(columns, rows)]
    return np.concatenate([np.zeros(0, np.int64), *hits])


def _expression(table: pa.Table, condition: Any) -> np.ndarray:
    pa = arrow()
    numbered = table.append_column(PLACE, pa.array(np.arange(len(table))))
    try:
        found: np.ndarray = numbered.filter(condition)[PLACE].to_numpy()
    except pa.ArrowException as exc:
        first = str(exc).splitlines()[0]
        raise InputError(f"filter({condition}): {first}. Columns: {', '.join(table.column_names)}") from exc
    return found


def _function(table: pa.Table, condition: Any) -> np.ndarray:
    return np.flatnonzero([bool(condition(row)) for row in table.to_pylist()])


def _checked(condition: Any, count: int) -> np.ndarray:
    mask = np.asarray(condition)
    if mask.dtype != bool or mask.shape != (count,):
        raise InputError(
            f"filter({type_name(condition)} of shape {mask.shape} and type {mask.dtype}) of {count} rows: expected an "
            "expression such as pyarrow.compute.field('score') < 0.5, a function of a row, or one bool per row"
        )
    return mask

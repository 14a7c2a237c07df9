"""The import of pyarrow, which only data sets need."""

from __future__ import annotations

from typing import Any

from xaicore.errors import DependencyError

__all__ = ["arrow", "parquet", "scanning"]


def arrow() -> Any:
    """The module `pyarrow`.

    Raises:
        DependencyError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.compute
    except ImportError as exc:
        raise DependencyError(
            f"maps of a data set are Parquet files, which need pyarrow: {exc}; pip install 'xaicore[dataset]'"
        ) from exc
    return pyarrow


def parquet() -> Any:
    """The module `pyarrow.parquet`; raises like `arrow`."""
    arrow()
    import pyarrow.parquet

    return pyarrow.parquet


def scanning() -> Any:
    """The module `pyarrow.dataset`; raises like `arrow`."""
    arrow()
    import pyarrow.dataset

    return pyarrow.dataset

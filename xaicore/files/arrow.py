"""The import of pyarrow, which only tables need."""

from __future__ import annotations

from typing import Any

from xaicore.errors import DependencyError

__all__ = ["arrow", "parquet", "scanning"]


def arrow(need: str = "maps of a data set are Parquet files, which need pyarrow") -> Any:
    """The module `pyarrow`.

    Args:
        need: what for, in the message.

    Raises:
        DependencyError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.compute
    except ImportError as exc:
        raise DependencyError(f"{need}: {exc}; pip install 'xaicore[dataset]'") from exc
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

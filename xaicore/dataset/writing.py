"""Parts are written beside the model, by one thread."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from xaicore.dataset import files
from xaicore.dataset.folder import Claim, RunFolder
from xaicore.files.arrow import parquet

__all__ = ["Writer"]

MOST = 2
"""Parts that wait to be written; more would pile up where the disk is slower than the model."""


class Writer:
    """Writes the parts of a folder, one after the other. As a context manager, it has written them all at its end.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="xaicore-write")
        self._waiting: list[Future[None]] = []

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)
        for future in self._waiting:
            if exc is None:
                future.result()

    def put(self, claim: Claim, table: Any) -> None:
        """Write a shard's rows, and release it.

        Raises:
            LoggerError: an earlier part could not be written.
        """
        self._waiting.append(self._pool.submit(self._write, claim, table))
        while len(self._waiting) > MOST:
            self._waiting.pop(0).result()

    def _write(self, claim: Claim, table: Any) -> None:
        is_done = False
        try:
            write_part(self._folder.part(claim.shard), table)
            is_done = True
        finally:
            claim.release(is_done)


def write_part(path: Path, table: Any) -> None:
    """Write a part: whole, or not at all."""
    # Maps in float16 do not compress; ids and names do. Without statistics of maps, which nobody asks for.
    files.write(path, lambda unfinished: parquet().write_table(table, unfinished, compression="zstd"))

"""Which rows a batch holds: R changed versions of each of N images, counted image by image."""

from __future__ import annotations

__all__ = ["Part", "next_parts"]

Part = tuple[int, slice]
"""An image, and which of its R rows."""


def next_parts(done: int, count: int, rows: int, size: int, is_even: bool = False) -> list[Part]:
    """The parts of the next batch: the rows of several images fill it, where an image has few.

    Args:
        done: rows that are done; row r of image n is number n * R + r.
        count, rows: N and R.
        size: the most rows of a batch.
        is_even: each image of a batch has the same number of rows: a batch holds whole images, or a part of one.
    """
    n, first = divmod(done, rows)
    if is_even and (first or rows > size):
        return [(n, slice(first, min(first + size, rows)))]
    if is_even:
        return [(image, slice(0, rows)) for image in range(n, min(n + size // rows, count))]
    parts = []
    while size > 0 and n < count:
        last = min(first + size, rows)
        parts.append((n, slice(first, last)))
        size -= last - first
        n, first = n + 1, 0
    return parts

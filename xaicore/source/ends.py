"""The first and the last element of a data set, which are read before a run: they show what all elements are.

Whatever ends the process here would end each start, so a guard notes what is read, and knows what earlier starts died
of. See `xaicore.dataset.start`; who makes no run that goes on has no guard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any, Protocol

from xaicore.errors import InputError, XaicoreError
from xaicore.source.elements import Element, digest_of, read_element
from xaicore.source.indexed import Elements, OrderError, indexed

__all__ = ["UNGUARDED", "Guard", "ends_of"]

TRIED = 32
"""Elements that are tried from each end, where the first ones are broken."""


class Guard(Protocol):
    """Reads elements before a run."""

    @property
    def lost(self) -> Collection[int]:
        """The positions of elements that end the process which reads them."""

    def read(self, elements: Elements, position: int) -> Any:
        """An element; raises what the data set raises, and PictureError for one that is lost."""

    def read_batch(self, source: Any, number: int) -> Any:
        """A batch of a data set of batches; raises what that raises, and InputError for one that is lost."""


class _Unguarded:
    lost = frozenset[int]()

    def read(self, elements: Elements, position: int) -> Any:
        return elements[position]

    def read_batch(self, source: Any, number: int) -> Any:
        return source[number]


UNGUARDED: Guard = _Unguarded()
"""Notes nothing, and loses nothing."""


def ends_of(source: Any, elements: Elements, guard: Guard) -> tuple[list[tuple[int, Element]], str]:
    """The first and the last element that can be read, each read twice, with their positions; and a digest of them.

    Raises:
        OrderError: one is another one the second time.
        XaicoreError: none can be read.
    """
    found, ends = hashlib.blake2b(digest_size=16), []
    afresh = indexed(source, guard.read_batch) or elements  # without batches that are kept
    count = len(elements)
    for positions in (range(count), range(count - 1, -1, -1)):
        n, one = _first_readable(elements, positions[:TRIED], guard)
        if digest_of(one) != digest_of(read_element(guard.read(afresh, n), f"source[{n}]")):
            raise OrderError(
                f"source[{n}] is another one each time it is read, as with random crops or flips: a map lies over "
                "what was drawn, and a run that is resumed would draw again. Pass the data set without random "
                "transforms, as for validation"
            )
        found.update(digest_of(one))
        ends.append((n, one))
    return ends, found.hexdigest()


def _first_readable(elements: Elements, positions: range, guard: Guard) -> tuple[int, Element]:
    """The first of these that can be read, and its position: a broken element is an error of its own, later."""
    errors: list[Exception] = []
    for n in positions:
        try:
            return n, read_element(guard.read(elements, n), f"source[{n}]")
        except Exception as exc:  # whatever the caller's data set raises
            errors.append(exc)
    if isinstance(errors[0], XaicoreError):
        raise errors[0]
    others = f", nor any of the {len(errors) - 1} next to it" if len(errors) > 1 else ""
    what = f"source[{positions[0]}] cannot be read{others}: {type(errors[0]).__name__}: {errors[0]}"
    raise InputError(what) from errors[0]

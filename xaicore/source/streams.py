"""Data sets that are read forward only: counted in one pass, and read in another, in which nothing may have moved.

The first pass sees every element: how many there are, their names and labels, and a digest of each. The others compare
the digests, so that a source with another order each time is seen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from xaicore import trees
from xaicore.errors import InputError, type_name
from xaicore.pictures import PictureError
from xaicore.source.batched import count_of, is_batch, singles
from xaicore.source.elements import DIGEST, Element, digest_of, read_element
from xaicore.source.indexed import OrderError, is_iterable, is_loader

__all__ = [
    "UNREAD",
    "Begin",
    "Contents",
    "Ended",
    "Stream",
    "begins_alike",
    "first_of",
    "may_count",
    "read_through",
    "stream_of",
]

AGAIN = 32
"""Elements that are read a second time before the run: a buffer that shuffles shows itself in them."""

KEPT = 64
"""Elements that are kept for threads that ask a little late."""

EMPTY = "source is an empty stream: expected one element or more"

UNREAD = bytes(DIGEST)
"""The digest of an element that cannot be read."""

Begin = Callable[[], Iterator[Any]]
"""Begins a new pass over single elements."""


class Ended(Exception):
    """A stream that nobody has counted has no such element: the pass is over. It never reaches a caller."""


@dataclass(eq=False)
class Contents:
    """What a pass has seen.

    Attributes:
        labels: N labels as the data set has them, None where there is none.
        keys: the names of those elements that have one, under "__key__".
        digests: of N elements, `DIGEST` bytes each.
        first, last: elements; the first of those that can be read.
    """

    labels: list[Any] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    digests: bytearray = field(default_factory=bytearray)
    first: Element | None = None
    last: Element | None = None

    def __len__(self) -> int:
        return len(self.labels)


class Stream:
    """The elements of a stream by position: forward it goes on, for an earlier one it begins again.

    Args:
        begin: begins a pass.
        count: how many elements there are; None: not known, and `Ended` is raised for the one behind the last.
    """

    def __init__(self, begin: Begin, count: int | None) -> None:
        self._begin, self._count = begin, count
        self._lock = threading.Lock()
        self._kept: dict[int, Any] = {}
        self._iterator: Iterator[Any] | None = None
        self._next = 0
        self._is_over = False

    def __len__(self) -> int:
        if self._count is None:
            raise TypeError("nobody has counted the elements of this stream")
        return self._count

    def __getitem__(self, position: int) -> Any:
        with self._lock:
            if position not in self._kept:
                self._go_to(position)
            return self._kept[position] if not position else self._kept.pop(position)

    @property
    def is_open(self) -> bool:
        """Whether nobody has counted the elements."""
        return self._count is None

    def rest(self) -> None:
        """Let go of a pass, whose iterator may have files open and processes at work, and of what was read in it."""
        with self._lock:
            self._iterator, self._next, self._is_over = None, 0, False
            self._kept.clear()

    def _go_to(self, position: int) -> None:
        """Read on until the element is among those that are kept."""
        if self._is_over and position >= self._next:
            raise Ended
        if self._iterator is None or position < self._next:
            self._iterator, self._next, self._is_over = self._begin(), 0, False
            self._kept.clear()
        while position >= self._next:
            self._read()
        if self._next == self._count:  # what is behind the last element ends a loader's workers
            next(self._iterator, None)
            self._iterator = None

    def _read(self) -> None:
        """Read the next element."""
        assert self._iterator is not None
        number, self._next = self._next, self._next + 1  # an element that raises counts, too
        value = next(self._iterator, self)
        if value is self:
            self._iterator, self._next = None, number
            if self._count is None:
                self._is_over = True
                raise Ended
            raise PictureError(f"source[{number}] was there when the elements were counted, and is not now")
        self._kept[number] = value
        if len(self._kept) > KEPT:  # never the first element: it is tried before the run, and read in it
            del self._kept[min(self._kept.keys() - {0})]


def stream_of(source: Any) -> Begin | None:
    """What begins a pass over the elements of a stream; None where it is none.

    Args:
        source: an `IterableDataset` of torch or Hugging Face, a `WebDataset`, a `DataLoader` over one, or a
            `tf.data.Dataset`, in batches or not.

    Raises:
        InputError: it can be read once only, or has no end.
    """
    if isinstance(source, Iterator):
        raise InputError(
            f"source is a {type_name(source).removeprefix('builtins.')}, which can be read once: expected what begins "
            "again, so that a run can be resumed. Pass a list, or an IterableDataset whose __iter__ makes it"
        )
    if is_loader(source):
        is_batched = source.batch_sampler is not None or source.batch_size is not None
        return lambda: singles(source, lambda value: is_batched)
    if hasattr(source, "element_spec") and hasattr(source, "cardinality"):
        if int(source.cardinality()) == -1:
            raise OrderError("source repeats without an end: expected a tf.data.Dataset without .repeat()")
        return lambda: singles(source, is_batch)
    return (lambda: iter(source)) if is_iterable(source) else None


def first_of(begin: Begin) -> Element:
    """The first element of a stream.

    Raises:
        InputError: it is empty, or raises.
        PictureError: that element is none.
    """
    for value in _told(begin):
        return read_element(value, "source[0]")
    raise InputError(EMPTY)


def read_through(begin: Begin, report: Callable[[int], object] = lambda count: None) -> Contents:
    """Read a stream to its end, and its beginning once more.

    Args:
        begin: begins a pass.
        report: called with the number of elements so far.

    Raises:
        InputError: it is empty, raises, or begins otherwise the second time.
        PictureError: its first element is none.
    """
    found = Contents()
    for n, value in enumerate(_told(begin)):
        report(n + 1)
        try:
            element = read_element(value, f"source[{n}]")
        except PictureError:
            if not n:
                raise
            found.labels.append(None)
            found.digests += UNREAD
            continue
        found.first, found.last = found.first or element, element
        found.labels.append(element.label)
        found.digests += digest_of(element)
        if element.name is not None:
            found.keys.append(element.name)
    if not len(found):
        raise InputError(EMPTY)
    for n, value in enumerate(islice(_told(begin), AGAIN)):
        expected = bytes(found.digests[n * DIGEST : (n + 1) * DIGEST])
        if expected != UNREAD and digest_of(read_element(value, f"source[{n}]")) != expected:
            raise OrderError(
                f"source[{n}] is another one each time the source is read, as with shuffling or random crops: a run "
                "that is resumed needs one order. Make the source without: shuffle=False of Keras' *_from_directory, "
                "shardshuffle=False of WebDataset, no .shuffle(...)"
            )
    return found


def begins_alike(begin: Begin) -> bool:
    """Whether the first elements are the same in two passes: what is shuffled shows itself in them.

    Raises:
        InputError: the source raises.
    """
    passes = [list(map(_digest, islice(_told(begin), AGAIN))) for _ in range(2)]
    return passes[0] == passes[1]


def may_count(source: Any, count: int) -> bool:
    """Whether a stream may have so many elements, by the `cardinality` of a `tf.data.Dataset`; others do not say it."""
    said = int(source.cardinality()) if hasattr(source, "element_spec") and hasattr(source, "cardinality") else -1
    if said <= 0:
        return False
    value = next(iter(source))
    size = count_of(trees.convert(value, trees.as_array)) if is_batch(value) else 1
    return (said - 1) * size < count <= said * size


def _digest(value: Any) -> bytes:
    try:
        return digest_of(read_element(value, "an element"))
    except PictureError:
        return UNREAD


def _told(begin: Begin) -> Iterator[Any]:
    """A pass; what the source raises ends it, and the message says where."""
    n = 0
    try:
        for value in begin():
            yield value
            n += 1
    except (InputError, GeneratorExit):
        raise
    except Exception as exc:
        raise InputError(
            f"the source raised {type(exc).__name__} after {n} elements: {exc}. A stream that raises has no next "
            "element: leave out what is broken in the source itself"
        ) from exc

"""Data sets whose elements are read by their position, in any order and by any thread.

Frameworks' classes are known by what they have: nothing is imported for them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from operator import getitem
from typing import Any, Protocol

from xaicore import trees
from xaicore.errors import InputError, type_name
from xaicore.pictures import PictureError

__all__ = ["Elements", "InBatches", "OrderError", "are_inputs", "indexed", "is_iterable", "is_loader", "part_of"]

KEPT = 4
"""Batches of a data set of batches that are in memory: those that are read ahead."""


class OrderError(InputError):
    """The elements of a data set, or their order, may be others each time they are read; or it has no end."""


class Elements(Protocol):
    """The elements of a data set."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, position: int) -> Any:
        """The element at a position from 0."""


class Collated:
    """The elements of a loader with a `collate_fn` of its own, each as a batch of one.

    Args:
        elements: of the loader's data set.
        collate: makes a batch of a list of elements.
    """

    def __init__(self, elements: Elements, collate: Callable[[list[Any]], Any]) -> None:
        self._elements, self._collate = elements, collate

    def __len__(self) -> int:
        return len(self._elements)

    def __getitem__(self, position: int) -> Any:
        return part_of(self._collate([self._elements[position]]), 0)


class Converted:
    """The elements of a loader that makes no batches, each through its `collate_fn`.

    Args:
        elements: of the loader's data set.
        convert: makes the loader's element of one.
    """

    def __init__(self, elements: Elements, convert: Callable[[Any], Any]) -> None:
        self._elements, self._convert = elements, convert

    def __len__(self) -> int:
        return len(self._elements)

    def __getitem__(self, position: int) -> Any:
        return self._convert(self._elements[position])


class First:
    """The first elements of a data set, of a loader that drops its last batch.

    Args:
        elements: of the loader's data set.
        count: how many.
    """

    def __init__(self, elements: Elements, count: int) -> None:
        self._elements, self._count = elements, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, position: int) -> Any:
        return self._elements[position]


class InBatches:
    """The elements of a Keras `PyDataset`, which returns batches of one size; the last one may be smaller.

    Args:
        source: returns batches (x, ...), (x, y, ...) or dicts by their number.
        batches: how many there are.
        read: returns the first and the last batch by their number, which show how many images there are.

    Raises:
        InputError: a batch has no array.
    """

    def __init__(self, source: Any, batches: int, read: Callable[[Any, int], Any]) -> None:
        self._source, self._batches = source, batches
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._size = _size_of(read(source, 0))
        self._last = _size_of(read(source, batches - 1))

    def __len__(self) -> int:
        return self._size * (self._batches - 1) + self._last

    def __getitem__(self, position: int) -> Any:
        number, n = divmod(position, self._size)
        with self._lock:
            batch = self._kept.get(number)
            if batch is None:
                batch = self._kept[number] = self._read(number)
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return part_of(batch, n)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_kept", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _kept=OrderedDict(), _lock=threading.Lock())

    def _read(self, number: int) -> Any:
        batch = self._source[number]
        expected = self._last if number == self._batches - 1 else self._size
        if _size_of(batch) != expected:
            raise PictureError(
                f"source[{number}] has {_size_of(batch)} images, and source[0] has {self._size}: expected batches of "
                "one size, the last one of the same size each time, so that an image is found by its number"
            )
        return batch


def indexed(source: Any, read: Callable[[Any, int], Any] = getitem) -> Elements | None:
    """The elements of a data set that has them by position; None where it is no such data set.

    Args:
        source: a torch or Hugging Face `Dataset`, or whatever else has `source[n]` and a length; a `DataLoader`
            without shuffling over one; a Keras `PyDataset`.
        read: returns a batch of the latter by its number.

    Raises:
        InputError: its order is another one each time, it has no end, or it is empty.
    """
    if is_loader(source):
        found = _of_loader(source)
    elif _is_of_batches(source):
        found = _of_batches(source, read)
    else:
        found = source if _has_positions(source) else None
    if found is not None and not len(found):
        raise InputError(f"source is an empty {type(source).__name__}: expected one element or more")
    return found


def is_loader(source: Any) -> bool:
    """Whether this is a `DataLoader` of torch, or a class derived from it."""
    return all(hasattr(source, name) for name in ("dataset", "sampler", "batch_sampler", "collate_fn"))


def is_iterable(source: Any) -> bool:
    """Whether it is an `IterableDataset`, which has a `__getitem__` that raises."""
    return any(base.__name__ == "IterableDataset" for base in type(source).__mro__)


def part_of(batch: Any, n: int) -> Any:
    """Image n of a batch (x, y, ...), a dict, or x; weights of images, which come third, are left out.

    Raises:
        PictureError: x is a list that may be one of images, or one of inputs.
    """
    if isinstance(batch, Mapping):
        return {key: value[n] for key, value in batch.items()}
    if not isinstance(batch, (tuple, list)):
        return batch[n]
    x, *others = batch[:2]
    if isinstance(x, (tuple, Mapping)) or (isinstance(x, list) and are_inputs(x, *others)):
        image = trees.map_leaves(lambda leaf: leaf[n], x)
    else:
        image = x[n]
    return (image, *(None if part is None else part[n] for part in others))


def are_inputs(x: list[Any], labels: Any = None) -> bool:
    """Whether a list in a batch is of a model's inputs, each for all images, and not of the images.

    Raises:
        PictureError: it may be both.
    """
    shapes = [tuple(getattr(leaf, "shape", ())) for leaf in trees.leaves(x)]
    if () in shapes:  # images of Pillow, names
        return False
    count = len(labels) if hasattr(labels, "__len__") else None
    if count is None and all(len(shape) in (2, 3) for shape in shapes):
        return False
    of_all, one_each = all(shape[0] == count for shape in shapes), len(x) == count
    if of_all == one_each:
        raise PictureError(
            f"a batch of source has a list of {len(x)} arrays and {'no' if count is None else count} labels: a list of "
            "images, or of a model's inputs? Expected one array (N, ...) for images, and a tuple or a dict for inputs, "
            "((x1, x2), labels)"
        )
    return of_all


def _has_positions(source: Any) -> bool:
    if isinstance(source, (list, tuple, str, bytes, Mapping)) or is_iterable(source):
        return False
    if any(hasattr(source, name) for name in ("dtype", "dtypes", "schema")):  # arrays and tables
        return False
    return hasattr(type(source), "__getitem__") and hasattr(type(source), "__len__")


def _of_loader(loader: Any) -> Elements | None:
    elements = loader.dataset
    if not _has_positions(elements):
        return None
    own = next(base for base in type(loader).__mro__ if "__iter__" in vars(base))
    if own.__name__ != "DataLoader":
        raise OrderError(
            f"source is a {type_name(loader)}, which reads its data set in a way of its own: pass the data set, "
            "source.dataset, with preprocess= where it returns pictures"
        )
    order = loader.sampler if loader.batch_sampler is None else loader.batch_sampler
    dropped = 0
    if type(order).__name__ == "BatchSampler":
        dropped = len(elements) % order.batch_size if order.drop_last else 0
        order = order.sampler
    if type(order).__name__ != "SequentialSampler" or len(order) != len(elements):
        raise OrderError(
            f"source is a DataLoader that reads by a {type(order).__name__}, whose order may be another one each time, "
            "or leave elements out: a run that is resumed needs one order. Pass the data set, source.dataset, or a "
            "loader with shuffle=False; jobs share a data set by shard='i/n'"
        )
    collate = loader.collate_fn
    if getattr(collate, "__name__", "") not in ("default_collate", "default_convert"):
        elements = Collated(elements, collate) if loader.batch_sampler is not None else Converted(elements, collate)
    return First(elements, len(elements) - dropped) if dropped else elements


def _is_of_batches(source: Any) -> bool:
    names = ("__getitem__", "num_batches", "on_epoch_end", "workers")
    return all(hasattr(type(source), name) for name in names)


def _of_batches(source: Any, read: Callable[[Any, int], Any]) -> Elements:
    if getattr(source, "shuffle", False):
        raise OrderError(
            f"source is a {type(source).__name__} with shuffle={source.shuffle!r}: a run that is resumed needs one "
            "order. Make it with shuffle=False"
        )
    count = source.num_batches
    if count is None:
        raise OrderError(f"source is a {type(source).__name__} without an end: expected num_batches to be a number")
    return InBatches(source, int(count), read) if count else []


def _size_of(batch: Any) -> int:
    x = batch[0] if isinstance(batch, (tuple, list)) and batch else batch
    size = trees.count(x)
    if not size:
        raise InputError(f"a batch of source is a {type_name(batch)} without an array: expected (x, y), a dict, or x")
    return size

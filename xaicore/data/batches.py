"""Loaders of any framework, read as batches of NumPy arrays with their true classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from xaicore import trees
from xaicore.data.truth import as_truth, check_count
from xaicore.errors import InputError

__all__ = ["Batch", "read_batches"]

LABELS = ("labels", "label", "y", "targets", "target")
"""Keys under which batches that are dicts hold their true classes."""


class Batch(NamedTuple):
    """One batch of a loader: N images as NumPy arrays, and what the loader has about them; see `Sample`."""

    x: Any
    truth: np.ndarray | None = None
    images: np.ndarray | None = None
    ids: tuple[str, ...] | None = None


def read_batches(
    batches: Iterable[Any],
    to_numpy: Callable[[Any], np.ndarray] = trees.as_array,
    class_names: Sequence[str] | None = None,
) -> Iterator[Batch]:
    """Read a loader batch by batch. A data set's single images, which have a scalar label, are batches of one.

    Args:
        batches: an iterable of batches (x, truth, ...), of dicts with labels, or of x alone.
        to_numpy: converts one tensor of x to a NumPy array.
        class_names: one name per class, for labels that are given by name.

    Raises:
        InputError: it is no iterable of batches, or labels are not classes.
    """
    try:
        iterator = iter(batches)
    except TypeError as exc:
        raise InputError(
            f"a {type(batches).__name__} is no loader: expected an iterable of batches (x, truth), or arrays"
        ) from exc
    for batch in islice(iterator, _length(batches)):
        yield _read(batch, to_numpy, class_names)


def _read(batch: Any, to_numpy: Callable[[Any], np.ndarray], class_names: Sequence[str] | None) -> Batch:
    if all(hasattr(batch, name) for name in Batch._fields):  # a `Sample`
        return Batch(trees.convert(batch.x, to_numpy), batch.truth, batch.images, batch.ids)
    x, labels = _split(batch)
    x = trees.convert(x, to_numpy)
    if not trees.count(x):
        raise InputError(
            f"a batch of type {type(batch).__name__} holds no array: expected (x, truth), a dict with labels, or x"
        )
    if labels is not None and trees.as_array(labels, "truth").ndim == 0:
        x = trees.convert(x, lambda leaf: leaf[None])
    truth = as_truth(labels, class_names)
    check_count(truth, trees.count(x))
    return Batch(x, truth)


def _length(batches: Any) -> int | None:
    """The length of the loader, if known: iteration over a data set by index may never end."""
    try:
        return len(batches)
    except TypeError:
        return None


def _split(batch: Any) -> tuple[Any, Any]:
    """x, and the labels or None."""
    if isinstance(batch, (tuple, list)):
        return (batch[0], batch[1] if len(batch) > 1 else None) if batch else (None, None)
    if isinstance(batch, Mapping):
        name = next((name for name in LABELS if name in batch), None)
        return {key: value for key, value in batch.items() if key != name}, None if name is None else batch[name]
    return batch, None

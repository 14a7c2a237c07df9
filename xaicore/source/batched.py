"""The elements in the batches that a stream yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from xaicore import trees
from xaicore.pictures import PictureError
from xaicore.source.indexed import are_inputs, part_of

__all__ = ["count_of", "is_batch", "singles"]


def singles(source: Any, is_batch: Callable[[Any], bool]) -> Iterator[Any]:
    """The elements in what a source yields, which may be batches."""
    for value in source:
        if is_batch(value):
            _check_collated(source, value)
            arrays = trees.convert(value, trees.as_array) if hasattr(source, "element_spec") else value
            for n in range(count_of(arrays)):
                yield part_of(arrays, n)
        else:
            yield value[:2] if isinstance(value, tuple) else value


def is_batch(value: Any) -> bool:
    """Whether a `tf.data.Dataset` yields batches: x has four axes or more, and a label per image."""
    x = value[0] if isinstance(value, tuple) else value
    axes = max((len(leaf.shape) for leaf in trees.leaves(x) if hasattr(leaf, "shape")), default=0)
    label = value[1] if isinstance(value, tuple) and len(value) > 1 else None
    return axes >= 4 and (label is None or len(label.shape) > 0)


def count_of(batch: Any) -> int:
    """How many elements a batch has: lists, of names for example, count, too."""
    x, *labels = batch[:2] if isinstance(batch, (tuple, list)) else (batch,)
    if isinstance(x, list) and not are_inputs(x, *labels):
        return len(x)
    return trees.count(x) or len(next(iter(x.values())) if isinstance(x, Mapping) else x)


def _check_collated(source: Any, batch: Any) -> None:
    """Refuse a loader that makes lists of tuples: a model takes a list as one argument.

    Raises:
        PictureError: see above.
    """
    x, *labels = batch[:2] if isinstance(batch, (tuple, list)) else (batch,)
    is_default = getattr(getattr(source, "collate_fn", None), "__name__", "") == "default_collate"
    if is_default and isinstance(x, list) and are_inputs(x, *labels):
        raise PictureError(
            "source is a DataLoader whose default_collate makes a list of the inputs of each element, and a model "
            "takes a list as one argument, a tuple as several: pass its data set, source.dataset, which is "
            "read forward, too"
        )

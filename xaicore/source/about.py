"""What a data set says of its elements without reading them: paths, labels, names of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.source.elements import Element
from xaicore.trees import as_array

__all__ = ["About", "about_of"]

ROWS = 1000
"""Rows of a Hugging Face data set whose paths are read at a time."""


@dataclass(frozen=True, eq=False)
class About:
    """What is known of N elements.

    Attributes:
        paths: N files, each once; None where they are not known.
        labels: (N,) labels in the data set's own numbers; None where they are not known before the elements are read.
        class_names: one name per class, in the data set's order, or None.
        keys: N names that are no files, or None.
    """

    paths: tuple[str, ...] | None = None
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None
    keys: tuple[str, ...] | None = None


def about_of(source: Any, count: int | None, first: Element) -> About:
    """What a data set of `count` elements says, of which this is the first one; None: nobody has counted them."""
    if isinstance(getattr(source, "features", None), Mapping) and first.key is not None:
        return _of_columns(source, count, first)
    classes = getattr(source, "classes", None) or getattr(source, "class_names", None)
    paths = _paths(_firsts(getattr(source, "samples", None)), count)
    if paths is None:
        paths = _paths(getattr(source, "file_paths", None), count)
    labels = getattr(source, "targets", None)
    return About(paths, None if first.label is None else _labels(labels, count), _names(classes))


def _of_columns(source: Any, count: int | None, first: Element) -> About:
    """A data set of Hugging Face: labels and paths lie in columns of Arrow beside the pictures' bytes."""
    labels = names = None
    has_labels = first.label_key is not None and first.label_key in source.features
    if has_labels:
        names = _names(getattr(source.features[first.label_key], "names", None))
    if count is None or not hasattr(source, "__len__"):  # read forward
        return About(None, None, names)
    if has_labels:
        labels = _labels(source.with_format(None)[first.label_key][:], count)
    return About(_arrow_paths(source, first.key, count), labels, names)


def _arrow_paths(source: Any, key: str | None, count: int) -> tuple[str, ...] | None:
    if key not in source.features:
        return None
    column, found = source.with_format("arrow").select_columns([key]), []
    for start in range(0, count, ROWS):
        values = column[start : start + ROWS][key].combine_chunks()
        if "path" not in [field.name for field in getattr(values.type, "fields", ())]:
            return None
        found += values.field("path").to_pylist()
        if found[0] is None:  # the pictures are in the data set alone
            return None
    return _paths(found, count)


def _firsts(samples: Any) -> Any:
    """The paths in a list of (path, class), as folders of pictures have it."""
    is_list = isinstance(samples, list) and all(isinstance(one, tuple) and len(one) == 2 for one in samples)
    return [path for path, _ in samples] if is_list else None


def _paths(values: Any, count: int | None) -> tuple[str, ...] | None:
    if not isinstance(values, Sequence) or not all(isinstance(one, str) for one in values):
        return None
    return tuple(values) if len(set(values)) == len(values) and count in (None, len(values)) else None


def _labels(values: Any, count: int | None) -> np.ndarray | None:
    if not hasattr(values, "__len__") or len(values) != count:
        return None
    try:
        found = as_array(values)
    except Exception:  # lists of boxes, for example
        return None
    return found.astype(np.int64) if found.ndim == 1 and found.dtype.kind in "iu" else None


def _names(values: Any) -> tuple[str, ...] | None:
    if not isinstance(values, (list, tuple)) or not values or not all(isinstance(one, str) for one in values):
        return None
    return tuple(values)

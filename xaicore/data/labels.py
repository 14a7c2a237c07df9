"""What callers pass beside the inputs, checked and in one form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xaicore.errors import InputError
from xaicore.outputs import label_count

__all__ = ["as_class_names", "as_ids", "as_truth"]


def as_ids(ids: Sequence[Any] | None, count: int) -> tuple[str, ...]:
    """N different names.

    Raises:
        InputError: another number, or two are the same.
    """
    names = tuple(map(str, range(count) if ids is None else ids))
    if len(names) != count or len(set(names)) != count:
        raise InputError(f"{len(names)} ids ({len(set(names))} different) for {count} images: give each one its own")
    return names


def as_truth(truth: Any, outputs: np.ndarray, kind: str) -> np.ndarray | None:
    """(N,) int64 true classes, -1 where one is not known.

    Raises:
        InputError: another number, no integers, or out of range.
    """
    if truth is None:
        return None
    labels, count = np.asarray(truth), len(outputs)
    if labels.shape != (count,) or labels.dtype.kind not in "iub":
        raise InputError(
            f"truth of shape {labels.shape} and type {labels.dtype} for {count} images: one class index an image"
        )
    labels = labels.astype(np.int64)
    classes = label_count(outputs, kind)
    if kind != "values" and (labels.min() < -1 or labels.max() >= classes):
        raise InputError(
            f"truth from {labels.min()} to {labels.max()} for outputs {outputs.shape}: expected classes 0 to "
            f"{classes - 1}, or -1 where it is not known"
        )
    return labels


def as_class_names(names: Sequence[str] | None, outputs: np.ndarray, kind: str) -> tuple[str, ...] | None:
    """A name a class.

    Raises:
        InputError: another number than there are classes.
    """
    if names is None:
        return None
    classes = label_count(outputs, kind)
    if len(names) != classes:
        raise InputError(f"{len(names)} class names for outputs {outputs.shape}: expected {classes}, in class order")
    return tuple(map(str, names))

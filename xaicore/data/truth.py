"""True classes: one per image, or several labels per image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xaicore.data.names import PYTHON, Arguments, class_indices
from xaicore.errors import InputError
from xaicore.outputs import label_count
from xaicore.trees import as_array

__all__ = ["UNKNOWN", "as_truth", "check_classes", "check_count", "join_truth", "most_suspicious"]

UNKNOWN = -1
"""The true class of an image where it is not known."""

FORMS = "class indices or names, or rows (N, classes) that are one-hot or multi-hot"


def as_truth(truth: Any, class_names: Sequence[str] | None = None, arguments: Arguments = PYTHON) -> np.ndarray | None:
    """True classes in one form: (N,) int64 with -1 where unknown, or (N, classes) bool.

    Args:
        truth: N class indices, whole floats, bools or class names; a column (N, 1) of them; a scalar for one image;
            one-hot rows (N, classes), also soft ones that sum to 1; or multi-hot rows of 0 and 1, where several labels
            or none are true.
        class_names: one name per class, for truth that is given by name.
        arguments: what the caller's arguments are called.

    Raises:
        InputError: it is none of these.
    """
    if truth is None:
        return None
    array = as_array(class_indices(truth, class_names, arguments.truth, arguments.class_names), arguments.truth)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{arguments.truth} of type {array.dtype}: expected {FORMS}")
    if array.ndim == 0 or (array.ndim == 2 and array.shape[1] == 1):
        array = array.reshape(-1)
    if array.ndim == 1:
        return _indices(array, arguments.truth)
    if array.ndim == 2 and array.shape[1]:
        return _rows(array, arguments.truth)
    raise InputError(f"{arguments.truth} of shape {array.shape}: expected {FORMS}")


def check_count(truth: np.ndarray | None, count: int) -> None:
    """Compare the number of true classes, as `as_truth` gives them, with that of the images.

    Raises:
        InputError: there are more or fewer than N.
    """
    if truth is not None and len(truth) != count:
        raise InputError(
            f"truth of shape {truth.shape} for {count} images: expected {count} class indices, or rows "
            f"({count}, classes)"
        )


def check_classes(truth: np.ndarray | None, outputs: np.ndarray, kind: str, argument: str = "truth") -> None:
    """Compare true classes, as `as_truth` gives them, with the classes of outputs (N, *O). Values have no classes.

    `argument` is what the caller's argument is called.

    Raises:
        InputError: a class does not exist.
    """
    if truth is None:
        return
    classes = label_count(outputs, kind)
    if truth.ndim == 2 and truth.shape[1] != classes:
        raise InputError(
            f"{argument} has {truth.shape[1]} columns for outputs {outputs.shape}: expected {classes}, one per class"
        )
    wrong = truth[(truth < UNKNOWN) | (truth >= classes)] if truth.ndim == 1 and kind != "values" else truth[:0]
    if wrong.size:
        shown = ", ".join(map(str, np.unique(wrong)[:5]))
        raise InputError(
            f"{argument} {shown} is out of range: outputs {outputs.shape} have classes 0 to {classes - 1}; -1 is for "
            "unknown"
        )


def most_suspicious(classes: np.ndarray, lowest: int = UNKNOWN) -> int:
    """The flat position of the class index that is the most likely to be out of range.

    That is the lowest one if it is below `lowest`, the lowest valid one, else the highest.
    """
    return int(np.argmin(classes) if classes.min() < lowest else np.argmax(classes))


def join_truth(batches: Sequence[np.ndarray]) -> np.ndarray:
    """The true classes of several batches; multi-hot where one of the batches is.

    A batch of multi-hot rows in which every image has one label reads as one-hot, and thus as indices.

    Raises:
        InputError: rows differ in length, or there are indices that the rows of another batch have no column for.
    """
    widths = {batch.shape[1] for batch in batches if batch.ndim == 2}
    if not widths:
        return np.concatenate(batches)
    width = widths.pop()
    indices = [batch for batch in batches if batch.ndim == 1]
    if widths or any(batch.min(initial=0) < 0 or batch.max(initial=0) >= width for batch in indices):
        raise InputError(
            f"truth is given as rows of {width} classes in one batch and as other classes in another: expected the "
            "same form in all batches"
        )
    return np.concatenate([np.eye(width, dtype=bool)[batch] if batch.ndim == 1 else batch for batch in batches])


def _indices(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype.kind == "f" and not np.array_equal(array, np.floor(array)):
        odd = _odd(array, array == np.floor(array))
        raise InputError(
            f"{name} with values such as {odd}: expected {FORMS}. The true values of a regression are no classes: "
            f"leave {name} out"
        )
    return array.astype(np.int64)


def _rows(array: np.ndarray, name: str) -> np.ndarray:
    if array.min() >= 0 and np.allclose(array.sum(axis=1), 1, atol=1e-3):
        return array.argmax(axis=1).astype(np.int64)
    valid = (array == 0) | (array == 1)
    if not valid.all():
        raise InputError(
            f"{name} of shape {array.shape} with values such as {_odd(array, valid)}: expected rows that sum to 1, or "
            "multi-hot rows of 0 and 1"
        )
    return array.astype(bool)


def _odd(array: np.ndarray, valid: np.ndarray) -> str:
    """The first value that is not valid."""
    return f"{array[~valid][0]:g}"

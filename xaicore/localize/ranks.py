"""Top-k localisation errors: whether one of the k best classes is a true one, and its box is right."""

from __future__ import annotations

import numpy as np

from xaicore.errors import InputError
from xaicore.localize.explained import Explained
from xaicore.localize.truth import TrueBoxes
from xaicore.outputs import class_count, is_dense

__all__ = ["wrong_in_top"]


Wrong = np.ndarray | None
"""(N,) float64: 1, 0, or nan where an image has no true box; None where an image's is not known."""


def wrong_in_top(explanation: Explained, true: TrueBoxes, found: np.ndarray) -> tuple[Wrong, Wrong, tuple[str, ...]]:
    """For k = 1 and k = 5, where the image is wrong; and why that is not known.

    Args:
        explanation: its rows, outputs and predictions.
        true: the true boxes.
        found: (M,) bool, whether the box of a row is right.

    Raises:
        InputError: a box holds a class that the outputs do not have.
    """
    if true.classes is None:
        return None, None, ("Top-1 and top-5 errors need the class of each true box: pass classes=.",)
    if explanation.predicted is None or is_dense(explanation.outputs):
        return None, None, ("Top-1 and top-5 errors need predicted classes, and the outputs are no scores of classes.",)
    if np.isnan(explanation.outputs).any():  # of a data set's table, which does not keep many
        return None, None, ("Top-1 and top-5 errors need the scores of all classes, and some outputs are NaN.",)
    order = _best_first(explanation.outputs, explanation.predicted)
    _check_range(true.classes, order.shape[1], explanation.outputs.shape)
    rows = {(int(n), int(c)): False for n, c in zip(explanation.image_index, explanation.targets, strict=True)}
    for n, c, is_right in zip(explanation.image_index, explanation.targets, found, strict=True):
        rows[int(n), int(c)] |= bool(is_right)
    top1, top5 = (_wrong(order[:, :k], true.classes, rows) for k in (1, 5))
    lacking = " and ".join(name for name, one in (("Top-1", top1), ("top-5", top5)) if one is None)
    note = f"{lacking[:1].upper()}{lacking[1:]} errors need a row for the true class of every image: targets='truth'."
    return top1, top5, (note,) if lacking else ()


def _best_first(outputs: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(N, classes): classes by falling score, the predicted one first."""
    if class_count(outputs) == 1:
        return np.stack([predicted, 1 - predicted], axis=1)
    return np.argsort(-outputs.reshape(len(outputs), -1), axis=1, kind="stable")


def _check_range(classes: tuple[np.ndarray, ...], count: int, shape: tuple[int, ...]) -> None:
    highest = max(int(of.max()) for of in classes if len(of))
    if highest >= count:
        raise InputError(f"a true box holds class {highest}: outputs {shape} have classes 0 to {count - 1}")


def _wrong(best: np.ndarray, classes: tuple[np.ndarray, ...], rows: dict[tuple[int, int], bool]) -> Wrong:
    wrong = np.full(len(best), np.nan)
    for n, true in enumerate(classes):
        named = set(true.tolist()) & set(best[n].tolist())
        right = any(rows.get((n, c), False) for c in named)
        if not right and any((n, c) not in rows for c in named):
            return None  # the map of a true class is not there, and its box might be right
        if len(true):
            wrong[n] = not right
    return wrong

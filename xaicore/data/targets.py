"""What to explain, as every door of the library takes it: words, class indices and names, or a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xaicore.data.names import PYTHON, Arguments, class_index, class_indices
from xaicore.errors import InputError, TargetError
from xaicore.targets import Classes, Target
from xaicore.targets import as_target as plain_target

__all__ = ["PREDICTED", "TRUTH", "read_target"]

PREDICTED, TRUTH = "predicted", "truth"


def read_target(
    targets: Any,
    truth: np.ndarray | None = None,
    class_names: Sequence[str] | None = None,
    arguments: Arguments = PYTHON,
) -> Target:
    """The target that `targets` means.

    Args:
        targets: None or "predicted", "truth", a class index or name, one per image, (N, K) or (1, K) of them, or a
            `Target`.
        truth: true classes as `as_truth` gives them.
        class_names: one name per class, for targets that are given by name.
        arguments: what the caller's arguments are called.

    Raises:
        TargetError: it is none of these, a class name is unknown, or the true classes are not known for every image
            or differ in number.
    """
    if isinstance(targets, str) and targets == TRUTH:
        return Classes(_true(truth, arguments), arguments.target)
    if targets is None or isinstance(targets, Target) or (isinstance(targets, str) and targets == PREDICTED):
        return plain_target(targets)
    try:
        if isinstance(targets, str):
            words = (PREDICTED, TRUTH)
            classes = class_index(targets, class_names, arguments.targets, arguments.class_names, words)
        else:
            classes = class_indices(targets, class_names, arguments.targets, arguments.class_names)
    except InputError as exc:
        raise TargetError(str(exc)) from exc
    return Classes(classes, arguments.target)


def _true(truth: np.ndarray | None, arguments: Arguments) -> np.ndarray:
    """(N,) true classes, or (N, K) where each image has K."""
    name = f"{arguments.targets} {TRUTH!r}"
    if truth is None:
        raise TargetError(f"{name} needs the true classes: pass {arguments.truth}")
    if truth.ndim == 1:
        unknown = int((truth < 0).sum())
        if unknown:
            raise TargetError(f"{name}: the true class of {unknown} of {len(truth)} images is unknown")
        return truth
    counts = truth.sum(axis=1)
    if not counts.min() or counts.min() != counts.max():
        raise TargetError(
            f"{name}: the images have {counts.min()} to {counts.max()} true classes; expected the same number, one or "
            "more, for each"
        )
    return np.nonzero(truth)[1].reshape(len(truth), -1)

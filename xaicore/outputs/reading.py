"""Reading a model's outputs: what kind they are, how many classes they have, which is predicted or true.

N images, outputs (N, *O) with the class axis at 1. A one-output classifier has two classes: class 1 is the output
itself, class 0 its opposite.
"""

from __future__ import annotations

import numpy as np

from xaicore.errors import InputError

__all__ = [
    "KINDS",
    "check_kind",
    "class_count",
    "is_dense",
    "label_count",
    "predicted_classes",
    "settle_kind",
    "true_classes",
]

KINDS = ("logits", "probabilities", "values")
"""What outputs are: class scores before or after the link, or values that are no class scores."""


def is_dense(outputs: np.ndarray) -> bool:
    """Whether there is a score per position, as in segmentation; (N, C, 1, 1) is a score per class."""
    return bool(np.prod(outputs.shape[2:]) > 1)


def class_count(outputs: np.ndarray) -> int:
    """The length of the class axis; 1 for outputs (N,)."""
    return outputs.shape[1] if outputs.ndim > 1 else 1


def label_count(outputs: np.ndarray, kind: str) -> int:
    """The number of classes that labels, names and targets may refer to: 2 for a one-output classifier."""
    count = class_count(outputs)
    return 2 if count == 1 and kind != "values" else count


def check_kind(kind: str | None) -> None:
    """Refuse a `kind=` that is not in `KINDS`.

    Raises:
        InputError: it is unknown.
    """
    if kind not in (*KINDS, None):
        raise InputError(f"kind={kind!r} is not known; expected 'logits', 'probabilities', 'values' or None")


def settle_kind(
    outputs: np.ndarray,
    kind: str,
    link: str | None = None,
    *,
    trained_for: str | None = None,
    chosen: str | None = None,
    activation: str | None = None,
    is_binary: bool = False,
) -> tuple[str, str | None]:
    """The kind and the link of outputs (N, *O), from the caller's choice, the end of the model, and its loss.

    The caller's `kind=` wins, then the end of the model, then the loss that it was compiled with. One linear output
    that nothing calls binary is a value: a regression ends like this, and its "class 0" would be a guess.

    Args:
        outputs: as the backend returned them.
        kind, link: what the model itself ends in, as in `Capture`.
        trained_for: the link that the model's loss applies, "softmax" or "sigmoid"; "values" for a regression's.
        chosen: the caller's `kind=`.
        activation: the caller's `activation=`.
        is_binary: whether two class names, a target 0 or 1, or truth of zeros and ones call one output binary.
    """
    if chosen is not None:
        return chosen, link
    if kind != "logits" or link is not None or activation is not None:
        return kind, link
    if trained_for is not None:
        return ("values", None) if trained_for == "values" else ("logits", trained_for)
    if class_count(outputs) == 1 and not is_dense(outputs) and not is_binary:
        return "values", None
    return kind, link


def predicted_classes(outputs: np.ndarray, kind: str) -> np.ndarray | None:
    """The predicted classes (N,) int64, or None where the outputs are no class scores.

    A one-output classifier predicts class 1 above 0 (logits) or above 0.5 (probabilities).
    """
    if kind == "values" or is_dense(outputs):
        return None
    if class_count(outputs) == 1:
        return (outputs.reshape(-1) > (0.5 if kind == "probabilities" else 0)).astype(np.int64)
    return outputs.reshape(len(outputs), -1).argmax(axis=1)


def true_classes(truth: np.ndarray | None, n: int) -> tuple[int, ...] | None:
    """The true classes of image n, none or several in a multi-label data set; None where they are unknown.

    `truth` is (N,) int64 with -1 where unknown, (N, classes) bool, or None.
    """
    if truth is None or (truth.ndim == 1 and truth[n] < 0):
        return None
    return (int(truth[n]),) if truth.ndim == 1 else tuple(np.flatnonzero(truth[n]).tolist())

"""The activations that turn logits into probabilities: applied, and recognised by what they make.

N images, outputs (N, *O) with the class axis at 1.
"""

from __future__ import annotations

import numpy as np

from xaicore.errors import InputError

__all__ = [
    "ACTIVATIONS",
    "EQUAL",
    "LINKS",
    "SUM",
    "are_probabilities",
    "check_activation",
    "logits",
    "matches_link",
    "probabilities",
    "raw_score",
    "tolerance",
]

ACTIVATIONS = ("softmax", "sigmoid", None)
"""What a caller may choose to turn outputs into probabilities."""

LINKS = ("softmax", "sigmoid", None)
"""The activations with which a model may end, on top of its logits."""

SUM = 1e-5
"""How far the sum of a row of float32 probabilities may be from 1."""

EQUAL = 1e-3
"""How far outputs that are computed in two ways may differ in float32, relative to their size."""

HALF = 2e-2
"""The same for both in half precision."""


def check_activation(activation: str | None) -> None:
    """Refuse an `activation=` that is not in `ACTIVATIONS`.

    Raises:
        InputError: it is unknown.
    """
    if activation not in ACTIVATIONS:
        raise InputError(f"activation={activation!r} is not known; expected 'softmax', 'sigmoid' or None")


def probabilities(outputs: np.ndarray, kind: str, link: str | None = None, activation: str | None = None) -> np.ndarray:
    """Class probabilities (N, classes) float64, two classes for one output; values as the model gives them.

    The caller's `activation` wins over the model's own `link`; without either, several outputs share a softmax and
    one output has a sigmoid.

    Raises:
        InputError: `activation` is unknown, or a softmax over a single output.
    """
    check_activation(activation)
    rows = outputs.reshape(len(outputs), -1).astype(np.float64)
    if kind == "values":  # a sigmoid keeps them in a range, as that of coordinates
        return _sigmoid(rows) if link == "sigmoid" else rows
    single = rows.shape[1] == 1
    if single and activation == "softmax":
        raise InputError("activation='softmax' makes a single output 1 for every image; use 'sigmoid' or None")
    if kind == "logits":
        link = "sigmoid" if single else activation or link or "softmax"
        rows = _sigmoid(rows) if link == "sigmoid" else _softmax(rows)
    return np.concatenate([1 - rows, rows], axis=1) if single else rows


def logits(outputs: np.ndarray, kind: str, link: str | None = None) -> np.ndarray:
    """The logits (N, C) float64 of several outputs; of probabilities up to a constant per image.

    A softmax that nothing names is recognised by its sum. A probability that was rounded to 0 has a logit of -infinity.
    """
    rows = outputs.reshape(len(outputs), -1).astype(np.float64)
    if kind != "probabilities":
        return rows
    with np.errstate(divide="ignore"):
        if link == "sigmoid" or (link is None and not are_probabilities(rows, EQUAL)):
            return np.log(rows) - np.log1p(-rows)
        return np.log(rows)


def raw_score(outputs: np.ndarray, kind: str, target: int) -> float:
    """The output of one image, (*O), for a class, as the model has it: before softmax or sigmoid.

    The raw score of class 0 in a one-output classifier is the negative logit, or 1 - p.
    """
    flat = outputs.reshape(-1)
    if len(flat) > 1 or kind == "values" or target == 1:
        return float(flat[target if len(flat) > 1 else 0])
    return float(1 - flat[0] if kind == "probabilities" else -flat[0])


def tolerance(is_half: bool, single: float = EQUAL) -> float:
    """The tolerance for outputs of a model: 2e-2 if values were rounded to half precision, else `single`.

    Args:
        is_half: whether a layer that the outputs come from computes in float16 or bfloat16.
        single: the tolerance in float32: `SUM` for `are_probabilities`, `EQUAL` for `matches_link`.
    """
    return HALF if is_half else single


def are_probabilities(rows: np.ndarray, tolerance: float = SUM) -> bool:
    """Whether rows (N, C), C > 1, lie in [0, 1] and sum to 1: a softmax that a framework's graph does not show.

    In half precision, pass the tolerance that `tolerance` gives.
    """
    if rows.ndim < 2 or rows.shape[1] < 2 or not rows.size or rows.min() < 0 or rows.max() > 1:
        return False
    return bool(np.allclose(rows.sum(axis=1), 1, atol=tolerance))


def matches_link(outputs: np.ndarray, logits: np.ndarray, tolerance: float = EQUAL) -> bool:
    """Whether outputs (N, ...) are these logits (N, C), or their softmax, log-softmax or sigmoid.

    The tolerance is relative to each output and to the largest one. In half precision, pass what `tolerance` gives.
    """
    if logits.size != outputs.size:
        return False
    logits = logits.astype(np.float64)
    softmax = _softmax(logits)
    log_softmax = np.log(np.maximum(softmax, np.finfo(np.float64).tiny))
    largest = float(np.abs(outputs).max())
    return any(
        np.allclose(linked.reshape(outputs.shape), outputs, rtol=tolerance, atol=tolerance * largest)
        for linked in (logits, softmax, log_softmax, _sigmoid(logits))
    )


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -logits))


def _softmax(logits: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # a logit of infinity has no probability: NaN
        rows = np.exp(logits - logits.max(axis=1, keepdims=True))
    return rows / rows.sum(axis=1, keepdims=True)

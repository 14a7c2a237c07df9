"""Classes at positions of the outputs: the pixels of a region, the step of a word.

N images, K targets per image, outputs (N, C, *S) with the class axis at 1 and positions *S behind it.
"""

from __future__ import annotations

import numpy as np

from xaicore.errors import TargetError
from xaicore.outputs import Answer
from xaicore.targets.target import Aim, Target

__all__ = ["AtPositions", "aim_at_positions", "is_multi_label", "position_probabilities"]

TINY = 1e-7
"""How close to 0 and 1 a float32 probability can be told apart from them, about."""


class AtPositions(Target):
    """Given classes at given positions: what a target that chose them by the outputs is in later passes.

    Args:
        classes: (N, K); -1 for a row without a target.
        masks: (N, K, *S) bool, the positions.
        text: the name of the target that chose them.
    """

    def __init__(self, classes: np.ndarray, masks: np.ndarray, text: str) -> None:
        self._classes, self._masks, self._text = classes, masks, text

    def aim(self, outputs: np.ndarray, kind: str, answer: Answer | None = None) -> Aim:
        """The classes' directions at the positions."""
        answer = answer or Answer(outputs, kind)
        if outputs.shape[2:] != self._masks.shape[2:]:
            raise TargetError(
                f"{self}: outputs {outputs.shape} have other positions than the first pass, {self._masks.shape[2:]}"
            )
        return aim_at_positions(answer, self._classes, self._masks)

    def again(self, aim: Aim) -> Target:
        """These classes and positions, for the images that `aim` is of."""
        return of_aim(aim, str(self))

    def __str__(self) -> str:
        return self._text


def of_aim(aim: Aim, text: str) -> AtPositions:
    """The classes and positions of an aim that `aim_at_positions` made."""
    return AtPositions(aim.classes, (aim.direction != 0).any(axis=2), text)


def position_probabilities(answer: Answer) -> np.ndarray:
    """Probabilities (N, C, *S) float64 at every position; two classes for one output.

    A softmax over the classes, unless the outputs have a sigmoid, or one class; as they are where they are
    probabilities.
    """
    z = answer.outputs.astype(np.float64)
    if z.shape[1] == 1:
        p = z if answer.kind == "probabilities" else _sigmoid(z)
        return np.concatenate([1 - p, p], axis=1)
    if answer.kind == "probabilities":
        return z
    if answer.link == "sigmoid":
        return _sigmoid(z)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def is_multi_label(answer: Answer) -> bool:
    """Whether a sigmoid made each class's probability by itself.

    Where nothing says so, probabilities that do not sum to 1 over the classes are a sigmoid's.
    """
    if answer.link is not None or answer.kind != "probabilities":
        return answer.link == "sigmoid"
    return answer.outputs.shape[1] > 1 and not np.allclose(answer.outputs.sum(axis=1), 1, atol=1e-3)


def aim_at_positions(answer: Answer, classes: np.ndarray, masks: np.ndarray, names: np.ndarray | None = None) -> Aim:
    """The mean logit of each class over its positions, as a direction; the mean probability there is the score.

    In outputs of one class, class 1 is the output itself and class 0 its opposite. Probabilities are pulled back to
    their logits. A row without positions has a direction of zeros and the score 0.

    Args:
        answer: its outputs (N, C, *S).
        classes: (N, K); -1 for a row without a target.
        masks: (N, K, *S) bool.
        names: (N, K), what the targets are called.

    Raises:
        TargetError: all probabilities at these positions are rounded to 0 or 1, where the model's last activation has
            no gradient.
    """
    outputs = answer.outputs
    p = position_probabilities(answer)
    ones = (1,) * (masks.ndim - 2)
    held = masks & (classes >= 0).reshape(*classes.shape, *ones)
    counts = held.reshape(*classes.shape, -1).sum(axis=-1)
    shares = held / np.maximum(counts, 1).reshape(*classes.shape, *ones)
    at = np.maximum(classes, 0)
    n = np.arange(len(classes))[:, None]
    chosen = p[n, at]  # (N, K, *S)
    if answer.kind == "probabilities" and bool(held.any()) and not ((chosen > 0) & (chosen < 1) & held).any():
        raise TargetError(
            "the probabilities at all these positions are exactly 0 or 1, where the model's last activation has no "
            "gradient; explain a model that returns logits"
        )
    is_computed = answer.kind == "probabilities"  # else it is a copy of the shares, and may be large
    direction = np.zeros((*classes.shape, *outputs.shape[1:]), np.float64 if is_computed else np.float32)
    k = np.arange(classes.shape[1])[None]
    if outputs.shape[1] == 1:
        direction[:, :, 0] = shares * np.where(classes == 1, 1, -1).reshape(*classes.shape, *ones)
        slope = _slope(p[:, None, 1:2]) if answer.kind == "probabilities" else 1.0
        direction *= slope
    else:
        direction[n, k, at] = shares
        if answer.kind == "probabilities":
            direction = _behind(direction, p[:, None], is_multi_label(answer), shares[:, :, None])
    scores = (chosen * shares).reshape(*classes.shape, -1).sum(axis=-1)
    kept = np.where(counts > 0, classes, -1)
    return Aim(direction.astype(np.float32, copy=False), kept.astype(np.int64), scores, names)


def _behind(direction: np.ndarray, p: np.ndarray, is_sigmoid: bool, shares: np.ndarray) -> np.ndarray:
    """A direction of logits as one of probabilities: the centred logit behind a softmax, the logit behind a sigmoid."""
    if is_sigmoid:
        return direction * _slope(p)
    safe = np.maximum(p, TINY)
    return direction / safe - shares / (p.shape[2] * safe)


def _slope(p: np.ndarray) -> np.ndarray:
    """d logit / d p of a sigmoid; where p is rounded to 0 or 1, the model's own gradient is zero, too."""
    return 1 / np.maximum(p * (1 - p), TINY)


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -z))

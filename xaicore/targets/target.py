"""The contract of targets: what is explained, as a direction in output space.

A backend pulls `direction` (d score / d outputs) back to a layer and knows nothing else of the target: class c is a
one-hot vector, and "not a dog" in a one-output classifier is -1.

N images, K targets per image, outputs (N, *O) with the class axis at 1.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from xaicore.errors import TargetError, type_name
from xaicore.outputs import class_count

__all__ = ["Aim", "Target", "aim_at", "check_aim"]


@dataclass(frozen=True, eq=False)
class Aim:
    """A target as directions, for outputs that are known.

    Attributes:
        direction: d score / d outputs, (N, K, *O) float32.
        classes: (N, K) int64; -1 where the target is no class.
        scores: (N, K), where the target knows its score, such as a similarity. None: the probability of a class, and
            for any other target its direction times the outputs.
    """

    direction: np.ndarray
    classes: np.ndarray
    scores: np.ndarray | None = None

    def take(self, chosen: np.ndarray) -> Aim:
        """The same for the images at these positions, in any order, also repeated."""
        arrays = (self.direction, self.classes, self.scores)
        return Aim(*(None if array is None else array[chosen] for array in arrays))  # type: ignore[arg-type]

    def repeated(self, views: int) -> Aim:
        """The same for each of several views of every image."""
        if views == 1:
            return self
        arrays = (self.direction, self.classes, self.scores)
        return Aim(*(None if array is None else np.repeat(array, views, axis=0) for array in arrays))  # type: ignore[arg-type]


class Target(ABC):
    """What to explain. `str(target)` names it in results and logs."""

    def __str__(self) -> str:
        return type(self).__name__

    @abstractmethod
    def aim(self, outputs: np.ndarray, kind: str) -> Aim:
        """Choose directions for outputs (N, *O) of this kind ("logits", "probabilities", "values").

        A target that pulls probabilities back to their logits may take a third argument, `link`: "softmax" or
        "sigmoid", what turned the logits into these probabilities, or None where nothing says so.

        Raises:
            TargetError: the target has no meaning for these outputs.
        """


def aim_at(target: Target, outputs: np.ndarray, kind: str, link: str | None = None) -> Aim:
    """The aim of a target, validated; `link` is passed on to targets that take it.

    Raises:
        TargetError: the target has no meaning for these outputs, or its aim does not fit them.
    """
    options = {"link": link} if "link" in inspect.signature(target.aim).parameters else {}
    return check_aim(target.aim(outputs, kind, **options), target, outputs)


def check_aim(aim: Aim, target: Target, outputs: np.ndarray) -> Aim:
    """Validate the aim of a target for outputs (N, *O), and convert it to float32 and int64.

    Raises:
        TargetError: direction or classes have another shape, or a class does not exist.
    """
    if not isinstance(aim, Aim):
        raise TargetError(f"target {target!s} gave a {type_name(aim)}; expected Aim(direction, classes)")
    shape = np.shape(aim.direction)
    if len(shape) != outputs.ndim + 1 or shape[:1] + shape[2:] != outputs.shape or not shape[1]:
        raise TargetError(
            f"target {target!s} gave a direction of shape {shape} for outputs {outputs.shape}: "
            f"expected (N, K, *O) = ({outputs.shape[0]}, K{''.join(f', {n}' for n in outputs.shape[1:])})"
        )
    if np.shape(aim.classes) != shape[:2]:
        raise TargetError(f"target {target!s} gave classes of shape {np.shape(aim.classes)}: expected {shape[:2]}")
    count = max(2, class_count(outputs))
    if np.max(aim.classes) >= count:
        raise TargetError(
            f"target {target!s} gave class {np.max(aim.classes)} for outputs {outputs.shape}: expected classes below "
            f"{count}, or -1 where the target is no class"
        )
    scores = aim.scores
    if scores is not None and np.shape(scores) != shape[:2]:
        raise TargetError(f"target {target!s} gave scores of shape {np.shape(scores)}: expected {shape[:2]}")
    scores = None if scores is None else np.asarray(scores, np.float64)
    return Aim(np.asarray(aim.direction, np.float32), np.asarray(aim.classes, np.int64), scores)

"""The contract of targets: what is explained, as a direction in output space.

A backend pulls `direction` (d score / d outputs) back to a layer and knows nothing else of the target: class c is a
one-hot vector, and "not a dog" in a one-output classifier is -1.

N images, K targets per image, outputs (N, *O) with the class axis at 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from xaicore.errors import TargetError
from xaicore.outputs import class_count

__all__ = ["Aim", "Target", "check_aim"]


@dataclass(frozen=True, eq=False)
class Aim:
    """A target as directions, for outputs that are known.

    Attributes:
        direction: d score / d outputs, (N, K, *O) float32.
        classes: (N, K) int64; -1 where the target is no class.
    """

    direction: np.ndarray
    classes: np.ndarray


class Target(ABC):
    """What to explain. `str(target)` names it in results and logs."""

    def __str__(self) -> str:
        return type(self).__name__

    @abstractmethod
    def aim(self, outputs: np.ndarray, kind: str) -> Aim:
        """Choose directions for outputs (N, *O) of this kind ("logits", "probabilities", "values").

        Raises:
            TargetError: the target has no meaning for these outputs.
        """


def check_aim(aim: Aim, target: Target, outputs: np.ndarray) -> Aim:
    """Validate the aim of a target for outputs (N, *O), and convert it to float32 and int64.

    Raises:
        TargetError: direction or classes have another shape, or a class does not exist.
    """
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
    return Aim(np.asarray(aim.direction, np.float32), np.asarray(aim.classes, np.int64))

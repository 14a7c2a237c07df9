"""The contract of targets: what is explained, as a direction in output space.

A backend pulls `direction` (d score / d outputs) back to a layer and knows nothing else of the target: class c is a
one-hot vector, and "not a dog" in a one-output classifier is -1.

N images, K targets per image, outputs (N, *O) with the class axis at 1.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from xaicore.errors import TargetError, type_name
from xaicore.outputs import Answer, Output, class_count

__all__ = ["Aim", "Places", "Target", "aim_at", "check_aim"]

Places = Sequence["tuple[np.ndarray, np.ndarray] | None"]
"""Per image, the classes (K,) and boxes (K, 4) of its targets; None where nothing is known of it."""


@dataclass(frozen=True, eq=False)
class Aim:
    """A target as directions, for outputs that are known.

    Attributes:
        direction: d score / d outputs, (N, K, *O) float32.
        classes: (N, K) int64; -1 where the target is no class.
        scores: (N, K), where the target knows its score, such as a similarity. None: the probability of a class, and
            for any other target its direction times the outputs.
        names: (N, K) texts, what each target is called, such as a word; None: by its class.
        boxes: (N, K, 4), where each target lies in the picture: x0, y0, x1, y1 in pixels, NaN where it lies nowhere;
            None for targets that have no place.
        rows: (N,), which image of the caller's batch each row is of; None: these, in order.
    """

    direction: np.ndarray
    classes: np.ndarray
    scores: np.ndarray | None = None
    names: np.ndarray | None = None
    boxes: np.ndarray | None = None
    rows: np.ndarray | None = None

    def take(self, chosen: np.ndarray) -> Aim:
        """The same for the images at these positions, in any order, also repeated."""
        numbered = self if self.rows is not None else replace(self, rows=np.arange(len(self.classes)))
        arrays = (numbered.direction, numbered.classes, numbered.scores, numbered.names, numbered.boxes, numbered.rows)
        return Aim(*(None if array is None else array[chosen] for array in arrays))  # type: ignore[arg-type]

    def repeated(self, views: int) -> Aim:
        """The same for each of several views of every image."""
        return self if views == 1 else self.take(np.repeat(np.arange(len(self.classes)), views))


class Target(ABC):
    """What to explain. `str(target)` names it in results and logs.

    Attributes:
        needs_parts: whether `aim` reads outputs beside the explained one, `Answer.parts`.
        of_class_axis: whether the classes of its aims are those of the outputs' class axis. Labels and predictions are
            compared with that axis, but not for a target such as a box, whose classes are the detector's labels.
        follows: whether a monitor follows what it chose at the first step, see `following`.
        stays: whether it means the same in a mirrored or scaled picture, though outputs have positions: the words of
            a caption do, and the pixels of a region do not.
        output: for a target that says itself what is explained of the model's answer.
    """

    needs_parts: ClassVar[bool] = False
    of_class_axis: ClassVar[bool] = True
    follows: ClassVar[bool] = False
    stays: ClassVar[bool] = False
    output: Output | None = None

    def __str__(self) -> str:
        return type(self).__name__

    @abstractmethod
    def aim(self, outputs: np.ndarray, kind: str) -> Aim:
        """Choose directions for outputs (N, *O) of this kind ("logits", "probabilities", "values").

        Two more arguments are passed to a target that takes them:

        - `link`: "softmax" or "sigmoid", what turned logits into these probabilities, or None where nothing says so;
        - `answer`: all that is known of the outputs, an `xaicore.outputs.Answer`.

        Raises:
            TargetError: the target has no meaning for these outputs.
        """

    def take(self, chosen: slice | np.ndarray) -> Target:
        """The target of some of the images, by position; itself where it is the same for all."""
        return self

    def apart(self) -> Target:
        """The same target for images that are explained in several passes: as many targets in each, whatever the others
        have."""
        return self

    def again(self, aim: Aim) -> Target:
        """The same targets for other outputs of images that `aim` explains, such as those of changed pictures.

        A target that chooses by the outputs returns one that keeps its choice; one that has something for each image
        of the caller's batch takes that of `aim.rows`.
        """
        return self

    def following(self, places: Places) -> Target:
        """The same targets at another step of a training, wherever they are by now; for targets that have a place.

        What is gone scores 0, and is no error.

        Args:
            places: where they were last found, for each image.
        """
        return self


def aim_at(target: Target, answer: Answer) -> Aim:
    """The aim of a target, validated.

    Raises:
        TargetError: the target has no meaning for these outputs, or its aim does not fit them.
    """
    taken = inspect.signature(target.aim).parameters
    options = {name: value for name, value in (("link", answer.link), ("answer", answer)) if name in taken}
    return check_aim(target.aim(answer.outputs, answer.kind, **options), target, answer.outputs)


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
    if target.of_class_axis and np.max(aim.classes) >= count:
        raise TargetError(
            f"target {target!s} gave class {np.max(aim.classes)} for outputs {outputs.shape}: expected classes below "
            f"{count}, or -1 where the target is no class"
        )
    for name, more in (("scores", ()), ("names", ()), ("boxes", (4,))):
        array = getattr(aim, name)
        if array is not None and np.shape(array) != (*shape[:2], *more):
            raise TargetError(
                f"target {target!s} gave {name} of shape {np.shape(array)}: expected {(*shape[:2], *more)}"
            )
    return replace(
        aim,
        direction=np.asarray(aim.direction, np.float32),
        classes=np.asarray(aim.classes, np.int64),
        scores=None if aim.scores is None else np.asarray(aim.scores, np.float64),
        boxes=None if aim.boxes is None else np.asarray(aim.boxes, np.float64),
    )

"""Targets that are one number: an output as it is, a probability, a difference of two classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np

from xaicore.errors import TargetError
from xaicore.outputs import Answer, class_count, is_dense, logits, predicted_classes, probabilities
from xaicore.targets.classes import Classes
from xaicore.targets.naming import class_text, named_class
from xaicore.targets.target import Aim, Target

__all__ = ["Contrast", "Probability", "Value"]


@dataclass(frozen=True)
class Value(Target):
    """One output, whatever it means: a coordinate, an age. Its value is the score.

    Of a model that ends in a softmax or sigmoid, the logit behind it; `Probability` explains what is after it.

    Args:
        index: along the output of an image, as the model gives it: an index, or one per axis, such as (2, 5). None: the
            only one.
    """

    index: int | Sequence[int] | None = None

    def __post_init__(self) -> None:
        given: Any = self.index
        if isinstance(given, Integral):  # also one of NumPy's
            object.__setattr__(self, "index", int(given))

    def aim(self, outputs: np.ndarray, kind: str, answer: Answer | None = None) -> Aim:
        """The direction is 1 at the output, 0 elsewhere.

        Raises:
            TargetError: the outputs have no such index.
        """
        index = (self.index,) if isinstance(self.index, int) else tuple(self.index or ())
        axis = 1 if answer is None else answer.class_axis
        given, arranged = outputs, outputs.shape
        outputs = np.moveaxis(outputs, 1, axis) if outputs.ndim > 2 else outputs  # as the model gives them
        shape = outputs.shape[1:] or (1,)
        if self.index is None and int(np.prod(shape)) == 1:
            return Value((0,) * len(shape) if len(shape) > 1 else 0).aim(given, kind, answer)
        if len(index) == 1 and len(shape) > 1 and not is_dense(outputs):
            shape = (int(np.prod(shape)),)
        if len(index) != len(shape) or any(not 0 <= i < length for i, length in zip(index, shape, strict=False)):
            raise TargetError(f"{self}: the outputs {outputs.shape} have no such index; of each image they are {shape}")
        rows = outputs.reshape(len(outputs), *shape)
        direction = np.zeros_like(rows, np.float32)
        at: Any = (slice(None), *index)
        direction[at] = 1
        scores = rows[at].astype(np.float64)[:, None]
        only = index[0] if len(index) == 1 else -1
        name = class_text(only, answer) if answer is not None and answer.class_names else f"output {self._written}"
        direction = direction.reshape(outputs.shape)
        return Aim(
            (np.moveaxis(direction, axis, 1) if direction.ndim > 2 else direction).reshape(arranged)[:, None],
            np.full(scores.shape, -1, np.int64),
            scores,
            np.full(scores.shape, name, object),
        )

    @property
    def _written(self) -> str:
        if self.index is None:
            return ""
        return str(self.index) if isinstance(self.index, int) else f"({', '.join(map(str, self.index))})"

    def __str__(self) -> str:
        return f"Value({self._written})"


@dataclass(frozen=True)
class Contrast(Target):
    """What speaks for one class and not for another: the difference of their logits.

    Args:
        favoured, other: class indices or names.
    """

    favoured: int | str
    other: int | str

    def aim(self, outputs: np.ndarray, kind: str, link: str | None = None, answer: Answer | None = None) -> Aim:
        """The direction of the one class less that of the other; the score is the difference of the logits.

        Raises:
            TargetError: the outputs are no scores of several classes, or a class does not exist.
        """
        if is_dense(outputs) or class_count(outputs) == 1 or kind == "values":
            raise TargetError(
                f"{self} needs a score for each of several classes, and outputs {outputs.shape} are {kind}: a "
                "one-output classifier contrasts its two classes by targets=1"
            )
        answer = answer or Answer(outputs, kind, link)
        pair = [named_class(given, answer, str(self)) for given in (self.favoured, self.other)]
        if pair[0] == pair[1]:
            raise TargetError(f"{self}: a class has no contrast with itself; expected two classes")
        directions = [Classes(index).aim(outputs, kind, link).direction for index in pair]
        z = logits(outputs, kind, link)
        name = " against ".join(class_text(index, answer) for index in pair)
        shape = (len(outputs), 1)
        return Aim(
            directions[0] - directions[1],
            np.full(shape, -1, np.int64),
            (z[:, pair[0]] - z[:, pair[1]])[:, None],
            np.full(shape, name, object),
        )

    def __str__(self) -> str:
        return f"Contrast({self.favoured!r}, {self.other!r})"


@dataclass(frozen=True)
class Probability(Target):
    """The probability of a class itself, and not its logit: with a softmax, evidence against other classes counts, too.

    Args:
        given: a class index or name; None: the predicted class.
    """

    given: int | str | None = None
    _fixed: np.ndarray | None = field(default=None, repr=False, compare=False)

    def aim(self, outputs: np.ndarray, kind: str, link: str | None = None, answer: Answer | None = None) -> Aim:
        """The gradient of the probability: p_c (e_c - p) behind a softmax, p_c (1 - p_c) e_c behind a sigmoid.

        Raises:
            TargetError: the outputs are no class scores, or the class does not exist.
        """
        predicted = predicted_classes(outputs, kind)
        if predicted is None:
            raise TargetError(f"{self} needs class scores, and outputs {outputs.shape} are {kind}: use Value(index)")
        answer = answer or Answer(outputs, kind, link)
        if self._fixed is not None:
            classes = self._fixed
        elif self.given is None:
            classes = predicted[:, None]
        else:
            classes = np.full((len(outputs), 1), named_class(self.given, answer, str(self)), np.int64)
        single = class_count(outputs) == 1
        p = probabilities(outputs, kind, None if single else link)
        chosen = np.take_along_axis(p, classes, axis=1)
        one_hot = np.zeros((len(outputs), p.shape[1]))
        np.put_along_axis(one_hot, classes, 1, axis=1)
        if single:
            one_hot = np.where(classes == 1, 1.0, -1.0)
        if kind == "probabilities":
            direction = one_hot
        elif single or link == "sigmoid":
            direction = one_hot * chosen * (1 - chosen)
        else:
            direction = chosen * (one_hot - p)
        return Aim(direction.reshape(len(outputs), 1, *outputs.shape[1:]), classes, chosen)

    def again(self, aim: Aim) -> Target:
        """The same classes, also where others are predicted."""
        return Probability(self.given, aim.classes)

    def take(self, chosen: slice | np.ndarray) -> Target:
        """The target of some of the images."""
        return self if self._fixed is None else Probability(self.given, self._fixed[chosen])

    def __str__(self) -> str:
        return f"Probability({'' if self.given is None else repr(self.given)})"

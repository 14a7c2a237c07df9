"""Targets that are classes: the predicted one, the k with the highest scores, given ones.

N images, K targets per image, outputs (N, *O) with the class axis at 1.
"""

from __future__ import annotations

import copy
import reprlib
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from xaicore.errors import InputError, TargetError
from xaicore.outputs import Answer, class_count, is_dense, label_count, predicted_classes
from xaicore.targets.regions import Region
from xaicore.targets.target import Aim, Target
from xaicore.trees import as_array

__all__ = ["Classes", "Predicted", "TopK", "as_target"]

ROUNDING = 1e-2
"""How far a probability that was rounded, in half precision too, may be below 0 or above 1."""


class Predicted(Target):
    """The class that the model predicts for each image (K = 1); a one-output regression's value."""

    def aim(self, outputs: np.ndarray, kind: str, link: str | None = None) -> Aim:
        """One direction per image: its predicted class."""
        if kind == "values" and class_count(outputs) == 1:
            return Aim(np.ones_like(outputs)[:, None], np.full((len(outputs), 1), -1, np.int64))
        _check_class_scores(outputs, str(self))
        predicted = predicted_classes(outputs, kind)
        if predicted is None:
            raise TargetError(
                f"outputs {outputs.shape} are values, so no class is predicted: choose an output, such as targets=0"
            )
        return _aim_at(outputs, kind, predicted[:, None], link)

    def __str__(self) -> str:
        return "predicted"


@dataclass(frozen=True)
class TopK(Target):
    """The k classes with the highest scores, best first; clipped to the number of classes.

    A one-output classifier has two: the predicted one first.
    """

    k: int

    def __post_init__(self) -> None:
        if not isinstance(self.k, Integral) or self.k < 1:
            raise TargetError(f"TopK({self.k!r}): expected a number of classes, 1 or more")

    def aim(self, outputs: np.ndarray, kind: str, link: str | None = None) -> Aim:
        """K directions per image."""
        _check_class_scores(outputs, str(self))
        if class_count(outputs) > 1:
            order = np.argsort(-outputs.reshape(len(outputs), -1), axis=1, kind="stable")
            return _aim_at(outputs, kind, order[:, : self.k], link)
        predicted = predicted_classes(outputs, kind)
        if predicted is None:  # a regression has one value and no classes
            return Predicted().aim(outputs, kind)
        return _aim_at(outputs, kind, np.stack([predicted, 1 - predicted], axis=1)[:, : self.k], link)

    def __str__(self) -> str:
        return f"top {self.k}"


class Classes(Target):
    """Given classes: one for all images, (N,) one per image, (N, K), or (1, K), the same K for all images.

    In a one-output classifier class 1 is the output itself and class 0 its opposite, pulled back with -1: +1 would
    show the evidence for class 1 under the name of class 0.

    Args:
        classes: indices in one of these shapes.
        name: what the caller calls a class in this place, for messages.

    Raises:
        TargetError: the classes are not whole numbers of one of these shapes.
    """

    def __init__(self, classes: Any, name: str = "target") -> None:
        try:
            given = as_array(classes, "targets")
        except InputError as exc:
            raise TargetError(str(exc)) from exc
        is_whole = given.dtype.kind in "iu" or (given.dtype.kind == "f" and np.array_equal(given, np.floor(given)))
        if not is_whole or not given.size or given.ndim > 2:
            shown = reprlib.repr(classes.tolist() if isinstance(classes, np.ndarray) else classes)
            raise TargetError(
                f"targets={shown}: expected None, a class index or name, one per image, an (N, K) array of them, "
                "'predicted', 'truth', or a target from xaicore.targets"
            )
        self.classes = given.astype(np.int64)
        self._name = name

    @property
    def per_image(self) -> bool:
        """Whether each image has classes of its own."""
        return self.classes.ndim == 1 or (self.classes.ndim == 2 and len(self.classes) > 1)

    def take(self, chosen: slice | np.ndarray) -> Classes:
        """The target of some of the images, by position."""
        if not self.per_image:
            return self
        taken = copy.copy(self)  # also of a class that derives from this one
        taken.classes = self.classes[chosen]
        return taken

    def check_count(self, count: int) -> None:
        """Compare the number of classes with that of the images.

        Raises:
            TargetError: there are more or fewer than N.
        """
        if self.per_image and len(self.classes) != count:
            raise TargetError(
                f"{len(self.classes)} targets for {count} images: give one per image, a single number for all, or "
                "[[a, b]], the same classes for all"
            )

    def aim(self, outputs: np.ndarray, kind: str, link: str | None = None, answer: Answer | None = None) -> Aim:
        """The given classes, compared with the outputs; in a score map, each where it is predicted (`Region`)."""
        self.check_count(len(outputs))
        if is_dense(outputs) and outputs.ndim > 3 and kind != "values":
            rows = self.classes.reshape(1, 1) if self.classes.ndim == 0 else self.classes.reshape(len(self.classes), -1)
            return Region(rows).aim(outputs, kind, answer or Answer(outputs, kind, link))
        _check_class_scores(outputs, str(self))
        rows = self.classes[:, None] if self.classes.ndim == 1 else self.classes
        classes = np.broadcast_to(rows, (len(outputs), rows.shape[1] if rows.ndim else 1))
        count = label_count(outputs, kind)
        wrong = classes[(classes < 0) | (classes >= count)]
        if wrong.size:
            shown = ", ".join(map(str, np.unique(wrong)[:5]))
            raise TargetError(
                f"{self._name} {shown} is out of range: outputs {outputs.shape} have classes 0 to {count - 1}"
            )
        return _aim_at(outputs, kind, classes, link)

    def __str__(self) -> str:
        return f"class {self.classes}" if self.classes.ndim == 0 else "given classes"


def as_target(targets: Any) -> Target:
    """The target that `targets` means, where nothing else is known: no class names, no true classes.

    Args:
        targets: None or "predicted", a class index, one per image, (N, K) or (1, K) of them, or a `Target`.

    Raises:
        TargetError: it is none of these.
    """
    if isinstance(targets, Target):
        return targets
    is_predicted = targets is None or (isinstance(targets, str) and targets == "predicted")
    return Predicted() if is_predicted else Classes(targets)


def _check_class_scores(outputs: np.ndarray, target: str) -> None:
    if is_dense(outputs):
        raise TargetError(
            f"target {target!r} needs one score per class, (N, classes), and these outputs have shape {outputs.shape}: "
            f"pass {_advice(outputs)}"
        )


def _advice(outputs: np.ndarray) -> str:
    """Which targets fit outputs with a score for each class at each position."""
    if outputs.ndim == 3:
        return "targets=xaicore.targets.Words(), the token at each position, or Word(position), one of them"
    return "targets=xaicore.targets.Region(class), where the class is predicted, in a mask, or in a box"


def _aim_at(outputs: np.ndarray, kind: str, classes: np.ndarray, link: str | None) -> Aim:
    """Directions of the classes' logits, for outputs that may be probabilities."""
    rows = outputs.reshape(len(outputs), -1)
    count = rows.shape[1]
    if count == 1:
        direction = np.where((classes == 1) | (kind == "values"), 1.0, -1.0)[..., None]
    else:
        direction = _one_hot(classes, count)
    if kind == "probabilities":
        direction = _through_link(direction, rows.astype(np.float64)[:, None], classes, link)
    shape = (*classes.shape, *outputs.shape[1:])
    return Aim(direction.astype(np.float32).reshape(shape), np.ascontiguousarray(classes, np.int64))


def _one_hot(classes: np.ndarray, count: int) -> np.ndarray:
    rows = np.zeros((*classes.shape, count), np.float32)
    np.put_along_axis(rows, classes[..., None], 1, axis=-1)
    return rows


def _through_link(direction: np.ndarray, p: np.ndarray, classes: np.ndarray, link: str | None) -> np.ndarray:
    """d logit / d probability, so that an opaque softmax or sigmoid at the end drops out.

    Sigmoid: 1 / (p (1 - p)). Softmax over C classes: e_c / p_c - 1 / (C p), exactly the gradient of the centred
    logit z_c - mean(z). Both need a probability that has not been rounded to 0 (or 1). Where nothing says which of
    them it was, rows that sum to 1 had a softmax.
    """
    count = p.shape[-1]
    if link is None:
        link = "softmax" if np.allclose(p.sum(axis=-1), 1, atol=1e-3) else "sigmoid"
    is_softmax = count > 1 and link == "softmax"
    chosen = p if count == 1 else np.take_along_axis(p, classes[:, None], axis=-1)
    lost = (chosen <= 0) if is_softmax else (chosen <= 0) | (chosen >= 1)
    if p.min(initial=0) < -ROUNDING or p.max(initial=0) > 1 + ROUNDING:
        raise TargetError(
            f"outputs from {p.min():.3g} to {p.max():.3g} are no probabilities: pass kind='logits', or kind='values' "
            "if they are no class scores"
        )
    if lost.any():
        raise TargetError(
            f"{int(lost.sum())} target probabilities are exactly 0 or 1, where the model's last activation has no "
            "gradient; explain a model that returns logits"
        )
    if not is_softmax:
        return direction / np.maximum(p * (1 - p), np.finfo(np.float32).tiny)
    p = np.maximum(p, np.finfo(np.float32).tiny)  # other classes: their own gradient has underflowed with them
    return direction / p - 1 / (count * p)

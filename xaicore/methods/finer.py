"""A class against those that the model takes for most similar."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np

from xaicore.errors import MethodError
from xaicore.evidence import Evidence
from xaicore.methods.channelwise import gradcam
from xaicore.outputs import class_count, is_dense, logits
from xaicore.targets import Aim, Classes

__all__ = ["finercam"]


def finercam(evidence: Evidence, *, alpha: float = 1.0, similar: int = 3) -> np.ndarray:
    """Finer-CAM (Zhang et al. 2025): Grad-CAM of y_c - alpha * mean_d y_d, d the classes most similar to c.

    These are the classes whose logits differ least from that of c for this picture, as in the authors' code; all others
    where there are fewer than `similar`. Their mean is a plain one, as in the article; grad-cam weighs them by their
    probabilities, and differentiates these, too.

    Cost: one more pass, forward and backward.

    Args:
        evidence: of the layer.
        alpha: how much of the similar classes is subtracted; 0 gives Grad-CAM.
        similar: how many classes are compared.

    Raises:
        MethodError: there are no several classes to compare, the target is no class, or an option is out of range.
    """
    _check_options(alpha, similar)
    aim, outputs = evidence.passes.aim, evidence.captured.outputs
    kind, link = evidence.captured.outputs_kind, evidence.captured.link
    _check_classes(aim, outputs, kind)
    rivals = most_similar(logits(outputs, kind, link), aim.classes, similar)
    of_rivals = np.stack([Classes(rivals[..., d]).aim(outputs, kind, link).direction for d in range(rivals.shape[-1])])
    direction = aim.direction - np.float32(alpha) * of_rivals.mean(axis=0)
    activations, gradients = evidence.gradients_again(direction=direction)
    return gradcam(activations, gradients)


def most_similar(rows: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """The other classes (N, K, D) whose logits (N, C) differ least from those of the classes (N, K).

    D is `count`, or C - 1 where there are fewer. Of equal ones, the lower index comes first.
    """
    own = np.take_along_axis(rows, classes, axis=1)
    distance = np.abs(rows[:, None] - own[..., None])
    np.put_along_axis(distance, classes[..., None], np.nan, axis=-1)  # which is sorted last
    nearest: np.ndarray = np.argsort(distance, axis=-1, kind="stable")[..., : min(count, rows.shape[1] - 1)]
    return nearest


def _check_options(alpha: float, similar: int) -> None:
    if not isinstance(alpha, Real) or not np.isfinite(alpha) or alpha < 0:
        raise MethodError(f"method 'finercam' with alpha={alpha!r}: expected a number, 0 or more")
    if not isinstance(similar, Integral) or isinstance(similar, bool) or similar < 1:
        raise MethodError(f"method 'finercam' with similar={similar!r}: expected a number of classes, 1 or more")


def _check_classes(aim: Aim, outputs: np.ndarray, kind: str) -> None:
    instead = "use 'gradcam'"
    if kind == "values" or is_dense(outputs):
        raise MethodError(f"method 'finercam' compares classes, and outputs {outputs.shape} are none: {instead}")
    if class_count(outputs) == 1:
        raise MethodError(f"method 'finercam' compares a class with others, and the model has one output: {instead}")
    if (aim.classes < 0).any():
        raise MethodError(f"method 'finercam' compares classes, and this target is no class: {instead}")

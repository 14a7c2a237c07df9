"""Scores of a target: in the pass that aimed at it, and in passes over changed inputs.

N images, K targets per image, M = N * K rows.
"""

from __future__ import annotations

import numpy as np

from xaicore.outputs import Answer, class_count, is_dense, probabilities
from xaicore.targets import Aim, Classes, Target, aim_at

__all__ = ["aim_again", "confidence_again", "is_unchanged", "score_again", "scores_of"]

UNCHANGED = 1e-6
"""How far scores of one picture in different batches may be apart in float32, relative to their size."""


def scores_of(answer: Answer, aim: Aim, activation: str | None) -> np.ndarray:
    """Scores (M,): the target's own, if it has any; else the probability of its class.

    A target that is no class scores its direction times the outputs.
    """
    classes = aim.classes
    if aim.scores is not None:
        return aim.scores.reshape(-1)
    flat = answer.outputs.reshape(len(classes), 1, -1)
    linear = (aim.direction.reshape(*classes.shape, -1) * flat).sum(axis=-1, dtype=np.float64)
    if (classes < 0).all() or is_dense(answer.outputs):  # a class of a score map has no single probability
        return linear.reshape(-1)
    p = probabilities(answer.outputs, answer.kind, answer.link, activation)
    chosen = np.take_along_axis(p, np.maximum(classes, 0), axis=1)
    return np.where(classes < 0, linear, chosen).reshape(-1)


def aim_again(target: Target, aim: Aim, answer: Answer) -> Aim:
    """The same targets for other outputs (N, *O), such as those of changed inputs: a predicted class stays the one
    that was predicted at first.

    Args:
        target: what the caller asked for.
        aim: what it was at first, for the same images.
        answer: of the new pass.
    """
    if aim.scores is not None:
        return aim_at(target.again(aim), answer)
    if answer.kind == "probabilities" and _are_classes(aim, answer.outputs):  # their direction depends on the outputs
        return Classes(aim.classes).aim(answer.outputs, answer.kind, answer.link)
    return aim


def score_again(target: Target, aim: Aim, answer: Answer) -> np.ndarray:
    """The scores (N, K) float64 of the same targets for other outputs: a class's output as the model has it.

    In a one-output classifier, class 0 scores -z, or 1 - p.
    """
    outputs, kind = answer.outputs, answer.kind
    if aim.scores is not None:
        again = aim_at(target.again(aim), answer).scores
        assert again is not None
        return again
    flat = outputs.reshape(len(outputs), 1, -1).astype(np.float64)
    if kind == "probabilities" and _are_classes(aim, outputs):
        if class_count(outputs) == 1:
            return np.where(aim.classes == 1, flat[..., 0], 1 - flat[..., 0])
        return np.take_along_axis(flat[:, 0], aim.classes, axis=1)
    scores: np.ndarray = (aim.direction.reshape(*aim.classes.shape, -1) * flat).sum(axis=-1)
    return scores


def confidence_again(target: Target, aim: Aim, answer: Answer, activation: str | None) -> np.ndarray:
    """The scores (N, K) float64 of the same targets for other outputs, as `scores_of`: a class's probability.

    Args:
        target: what the caller asked for.
        aim: what it was at first, for the same images.
        answer: of the new pass.
        activation: the caller's choice.
    """
    if aim.scores is not None:
        return score_again(target, aim, answer)
    return scores_of(answer, aim, activation).reshape(aim.classes.shape)


def is_unchanged(scores: np.ndarray, own: np.ndarray) -> np.ndarray:
    """(N, K): whether all R changed versions of a picture score what the picture itself does.

    Args:
        scores: (N, R, K), R > 0.
        own: (N, K), of the pictures as they are.
    """
    differences: np.ndarray = np.abs(scores - own[:, None]).max(axis=1)
    return differences <= UNCHANGED * np.maximum(np.abs(scores).max(axis=1), np.abs(own))


def _are_classes(aim: Aim, outputs: np.ndarray) -> bool:
    return bool((aim.classes >= 0).all()) and not is_dense(outputs)

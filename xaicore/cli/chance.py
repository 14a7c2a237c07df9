"""Whether a model does better than chance: where none of its predictions does, something is wrong with it."""

from __future__ import annotations

import numpy as np

from xaicore.explanation import Explanation
from xaicore.outputs import class_count, is_dense

__all__ = ["Chance"]

FEW = 10
"""With fewer classes, a low score is no sign of anything."""
NEAR = 3
"""Times the probability of each class if all were alike."""


class Chance:
    """The best probability of a predicted class so far, of outputs that share a softmax.

    Attributes:
        best: that probability; 0 before there is one.
        classes: how many classes share the softmax.
    """

    def __init__(self) -> None:
        self.best, self.classes = 0.0, 0

    def add(self, explanation: Explanation) -> None:
        """Note the scores of one batch, where the predicted classes are explained."""
        outputs, predicted = explanation.outputs, explanation.predicted
        if predicted is None or is_dense(outputs) or class_count(outputs) < FEW:
            return
        shared = _softmax(outputs.reshape(len(outputs), -1), explanation.outputs_kind)
        for n, target, score in zip(explanation.image_index, explanation.targets, explanation.scores, strict=True):
            # A sigmoid's score is another: it says nothing of the other classes.
            if target == predicted[n] and abs(score - shared[n, target]) < 1e-3 * score:
                self.best, self.classes = max(self.best, float(score)), shared.shape[1]

    def __str__(self) -> str:
        """What to tell the user; "" where the best score is above chance, or not known."""
        if not self.best or self.best > NEAR / self.classes:
            return ""
        return (
            f"the best score is {self.best:.2g}, and {1 / self.classes:.2g} is chance for {self.classes} classes: are "
            "the weights trained, and is the preprocessing theirs?"
        )


def _softmax(outputs: np.ndarray, kind: str) -> np.ndarray:
    if kind == "probabilities":
        return outputs
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return shares

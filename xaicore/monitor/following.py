"""Targets that have a place, such as a detector's boxes, are followed from step to step."""

from __future__ import annotations

import numpy as np

from xaicore.explanation import Explanation
from xaicore.targets import Target

__all__ = ["Places"]


class Places:
    """Where the targets of each image were found last, by the image's id."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def follow(self, target: Target, ids: tuple[str, ...]) -> Target:
        """The same target, for images with these ids, at another step."""
        return target.following([self._known.get(name) for name in ids]) if target.follows else target

    def learn(self, explanation: Explanation) -> None:
        """Keep the classes and boxes that an explanation found; those of what is gone stay as they were."""
        boxes = explanation.target_boxes
        if boxes is None:
            return
        for name, classes, found in zip(
            explanation.ids,
            explanation.targets.reshape(len(explanation.ids), -1),
            boxes.reshape(len(explanation.ids), -1, 4),
            strict=True,
        ):
            old_classes, old = self._known.get(name, (classes, found))
            is_gone = np.isnan(found).any(axis=-1)
            self._known[name] = np.where(is_gone, old_classes, classes), np.where(is_gone[:, None], old, found)

"""The first k images of each class."""

from __future__ import annotations

from collections import Counter

import numpy as np

from xaicore.outputs import true_classes

__all__ = ["Quota"]


class Quota:
    """Chooses images, batch by batch, until each class has k of them.

    Args:
        k: images per class.
    """

    def __init__(self, k: int) -> None:
        self._k = k
        self._counts = Counter[int]()

    def choose(self, truth: np.ndarray) -> np.ndarray:
        """Positions of the images of one batch that a class still needs; an image counts for each of its labels."""
        chosen = []
        for n in range(len(truth)):
            classes = true_classes(truth, n) or ()
            if any(self._counts[label] < self._k for label in classes):
                self._counts.update(classes)
                chosen.append(n)
        return np.array(chosen, np.intp)

    def is_full(self, classes: int | None) -> bool:
        """Whether this many classes have k images each; never, where the number of classes is unknown."""
        return classes is not None and sum(count >= self._k for count in self._counts.values()) >= classes

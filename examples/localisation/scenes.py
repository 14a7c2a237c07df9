"""The report's scenes, and scenes of two animals, with their boxes as `xaicore.localize.evaluate` takes them."""

from __future__ import annotations

import numpy as np

from examples.report.pictures import Pictures
from examples.report.scenes import UNSEEN_BACKGROUNDS, Studio

__all__ = ["boxes_of", "classes_of", "pairs"]

PAIRS = (("cat", "cat"), ("mastiff", "dalmatian"), ("cat", "dalmatian"), ("mastiff", "cat"))


def pairs(count: int, seed: int) -> Pictures:
    """Scenes of two animals in front of backgrounds that the training pictures do not have."""
    studio = Studio(UNSEEN_BACKGROUNDS, np.random.default_rng(seed))
    return Pictures.stack([studio.scene(f"pair {n}", *PAIRS[n % len(PAIRS)]) for n in range(count)])


def boxes_of(pictures: Pictures) -> list[np.ndarray]:
    """Per picture, its boxes (B, 4)."""
    return [np.array([box[1:] for box in boxes]) for boxes in pictures.boxes]


def classes_of(pictures: Pictures) -> list[np.ndarray]:
    """Per picture, the class of each box, (B,)."""
    return [np.array([box.label for box in boxes]) for boxes in pictures.boxes]

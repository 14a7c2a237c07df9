"""A small run whose every pixel and number is known, for the tests of the gallery."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import explanations
import numpy as np

import xaicore

EVIL = '</script><b onclick="alert(1)">'
IDS = (f"{EVIL}.png", "b" * 90, "third.png")
CLASSES = (EVIL, "cat", "dog")
TRUTH = (0, 1, 2)
PICTURES = ((200, 0, 150), (0, 120, 255), (90, 90, 90))
SIZE = (48, 64)
BANDS = (0.0, 0.25, 0.5, 1.0)
"""The map from left to right, as shares of its maximum; the method `second` sees it mirrored."""
MAXIMUM = {0: 1.0, 1: 4.0, 2: 2.0, 5: 8.0}
"""Of each step."""
SECOND = {0: 1.0, 1: 3.0, 2: 2.0, 5: 1.0}
"""The same, of the second target's maps."""
LOGITS = {
    0: [[0, 3, 1], [0, 2, 1], [1, 2, 0]],  # all are said to be cats
    1: [[3, 1, 0], [0, 2, 1], [4, 1, 0]],
    2: [[3, 1, 0], [0, 1, 3], [4, 1, 0]],
    5: [[2, 1, 0], [0, 1.5, 1], [0, 1, 1.25]],  # all right
}
METHODS = ("first", "second")


def explanation(maps: np.ndarray, logits: Sequence[Sequence[float]], method: str, **known: Any) -> xaicore.Explanation:
    """Of maps (N, K, H, W), the K best classes of each image."""
    return explanations.explanation(maps, method=method, outputs=np.array(logits, np.float32), **known)


def bands(maximum: float, mirrored: bool = False) -> np.ndarray:
    row = np.repeat(BANDS[::-1] if mirrored else BANDS, SIZE[1] // len(BANDS))
    return np.tile(maximum * row, (SIZE[0], 1))


def plain(colors: Sequence[tuple[int, int, int]]) -> np.ndarray:
    return np.broadcast_to(np.array(colors, np.uint8)[:, None, None], (len(colors), *SIZE, 3)).copy()


def at_step(step: int, method: str) -> xaicore.Explanation:
    one = [bands(maximum[step], method == "second") for maximum in (MAXIMUM, SECOND)]
    return explanation(
        np.array([one] * len(IDS)),
        LOGITS[step],
        method,
        images=plain(PICTURES),
        ids=IDS,
        truth=TRUTH,
        class_names=CLASSES,
    )


def worst(step: int, count: int) -> xaicore.Explanation:
    """Pictures that are as green as their step."""
    one = explanation(
        np.array([[bands(1.0), bands(1.0)]] * count),
        [[n, 3, 2] for n in range(count)],
        "first",
        images=plain([(0, 40 * step, 10 * n) for n in range(count)]),
        ids=[f"worst {n} of step {step}" for n in range(count)],
        truth=[2] * count,
        class_names=CLASSES,
    )
    return dataclasses.replace(one, group="worst")


def write(root: Path, **options: Any) -> Path:
    """Log it; returns the folder."""
    with xaicore.open_loggers({"disk": {"root": root, **options}}, name=EVIL, on_error="raise") as log:
        for step in MAXIMUM:
            for method in METHODS:
                log(at_step(step, method), step)
            if step in (1, 5):
                log(worst(step, count=5 - step // 2), step)  # 5, then 3
    return root

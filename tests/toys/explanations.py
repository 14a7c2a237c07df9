"""Explanations whose maps, outputs and pictures are given, for tests of loggers and of the gallery."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

import xaicore
from xaicore.show.pictures import Pictures
from xaicore.testing.explanations import example, explanation

__all__ = ["example", "explanation", "several_labels", "strip"]


def several_labels() -> xaicore.Explanation:
    """Two images: the first has two labels, of which one is predicted; the second has none."""
    one = example(n=2, k=1, class_names=["cat", "dog", "fox", "ant"])
    truth = np.zeros((2, 4), bool)
    truth[0, [one.predicted[0], (one.predicted[0] + 1) % 4]] = True
    return dataclasses.replace(one, truth=truth)


def strip(
    maps: np.ndarray, pictures: np.ndarray | None, names: Sequence[str], frames: int = 1, **known: Any
) -> xaicore.Explanation:
    """Of maps (N, K, views, H, W), and pictures (N, views, H, W, 3) uint8 or none; `frames` follow each other."""
    n, k, views, *size = maps.shape
    one = explanation(maps[:, :, 0], images=None, **known)
    side_by_side = None if pictures is None else np.concatenate(list(pictures.swapaxes(0, 1)), axis=2)
    return dataclasses.replace(
        one,
        maps=maps.reshape(n * k, views, *size).astype(np.float32),
        empty=np.logical_not((maps > 0).reshape(n * k, -1).any(axis=1)),
        input_size=tuple(size) if pictures is None else pictures.shape[2:4],
        pictures=Pictures.from_array(side_by_side, None if pictures is None else "user"),
        views=views,
        view_names=tuple(names),
        frames=frames,
    )

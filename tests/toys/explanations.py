"""Explanations whose maps, outputs and pictures are given, for tests of loggers and of the gallery."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from toynet import FixedBackend

import xaicore
from xaicore.show.pictures import Pictures


def explanation(
    maps: np.ndarray,
    size: tuple[int, ...] | None = None,
    method: str = "given",
    outputs: np.ndarray | None = None,
    signed: bool = False,
    **known: Any,
) -> xaicore.Explanation:
    """Of maps (N, K, *S), K of the classes 0 to 3 each; images, ids, truth and class_names as in a call."""

    def given(activations: np.ndarray, _: None) -> np.ndarray:
        return activations

    given.__name__, given.needs, given.signed = method, "activations", signed
    n, k = maps.shape[:2]
    if outputs is None:
        outputs = np.random.default_rng(n).normal(size=(n, 4)).astype(np.float32)
    maps = maps.astype(np.float32)
    layers = [xaicore.Layer("conv", "Conv", maps.shape, spatial=True)]
    backend = FixedBackend(outputs, maps, input_size=maps.shape[2:] if size is None else size, layers=layers)
    explainer = xaicore.Explainer(None, given, backend=backend, layer="conv")
    return explainer(maps, targets=xaicore.targets.TopK(k), **known)


def example(n: int = 3, k: int = 2, seed: int = 0, size: tuple[int, int] = (14, 18), **known: Any) -> Any:
    """Random maps of 5 x 7 over random pictures."""
    rng = np.random.default_rng(seed)
    known.setdefault("images", rng.integers(0, 256, (n, *size, 3), np.uint8))
    return explanation(rng.random((n, k, 5, 7)) * rng.uniform(0.1, 9), size, **known)


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

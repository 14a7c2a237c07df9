"""tinyconv's models by name: `--model tinyconv/small --weights net.npz`. tinyconv is imported once one is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterable

import cv2
import numpy as np

from xaicore import InputError, ModelLibrary, ModelSpec, NamedModel, models

__all__ = ["LIBRARY", "load"]

WIDTHS = {"small": (4, 8), "wide": (8, 16)}


def names() -> Iterable[str]:
    """What stands behind the slash."""
    return WIDTHS


LIBRARY = ModelLibrary("tinyconv", "tinyconv", names, "small", "pip install ./examples/plugins/xaicore-tinyconv")


def load(spec: ModelSpec) -> NamedModel:
    """The net of this name, with the weights of an .npz file of conv1, conv2 and dense, or with random ones."""
    if spec.name not in WIDTHS:
        raise models.unknown_name(LIBRARY, spec.name)
    from tinyconv import Net

    net = Net.random(widths=WIDTHS[spec.name])
    if not spec.pretrained:
        return NamedModel(net, f"{spec.name}, tinyconv, random weights", preprocess, is_pretrained=False)
    if spec.weights is None:
        raise InputError(f"spec={spec.text!r}: tinyconv has no weights of its own; pass a file, or weights='none'")
    if not os.path.isfile(spec.weights):
        raise InputError(f"weights={spec.weights!r}: no such file")
    try:
        weights = dict(np.load(spec.weights))  # which refuses pickles: no file may run code
    except (OSError, ValueError) as exc:
        raise InputError(f"weights={spec.weights!r} is no file of arrays, as np.savez writes it: {exc}") from exc
    problem = models.misfit(
        {name: value.shape for name, value in vars(net).items()}, {k: v.shape for k, v in weights.items()}
    )
    if problem is not None:
        raise InputError(f"weights={spec.weights!r} does not fit tinyconv/{spec.name}: {problem}")
    return NamedModel(Net(**weights), f"{spec.name}, tinyconv, weights {spec.weights}", preprocess, is_pretrained=True)


def preprocess(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From a picture (H, W, 3) uint8 RGB to the input (24, 32, 3) float32, and the picture as the net sees it."""
    seen = cv2.resize(picture, (32, 24), interpolation=cv2.INTER_AREA)  # width first
    return seen / np.float32(255), seen

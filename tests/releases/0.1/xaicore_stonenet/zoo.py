"""stonenet/tiny, with the weights of an .npz file or random ones."""

from __future__ import annotations

import os

import cv2
import numpy as np

from xaicore import InputError, ModelLibrary, ModelSpec, NamedModel, models

CLASSES = ["ant", "bee", "cat", "dog"]


def names() -> list[str]:
    return ["tiny"]


LIBRARY = ModelLibrary("stonenet", "stonenet", names, "tiny", "pip install stonenet")


def load(spec: ModelSpec) -> NamedModel:
    if spec.name not in names():
        raise models.unknown_name(LIBRARY, spec.name)
    from stonenet import Net

    net = Net.random()
    if not spec.pretrained:
        return NamedModel(net, "tiny, stonenet, random weights", preprocess, CLASSES, is_pretrained=False)
    if spec.weights is None:
        raise InputError(f"spec={spec.text!r}: stonenet has no weights of its own; pass a file, or weights='none'")
    if not os.path.isfile(spec.weights):
        raise InputError(f"weights={spec.weights!r}: no such file")
    try:
        net.weights = check(dict(np.load(spec.weights)), net, spec.weights)
    except (OSError, ValueError, EOFError) as exc:
        raise InputError(f"weights={spec.weights!r} is no file of arrays, as np.savez writes it: {exc}") from exc
    return NamedModel(net, f"tiny, stonenet, weights {spec.weights}", preprocess, CLASSES, is_pretrained=True)


def check(weights: dict[str, np.ndarray], net: object, file: str) -> dict[str, np.ndarray]:
    shapes = [{name: one.shape for name, one in each.items()} for each in (vars(net)["weights"], weights)]
    problem = models.misfit(*shapes)
    if problem is not None:
        raise InputError(f"weights={file!r} does not fit stonenet/tiny: {problem}")
    return weights


def preprocess(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    seen = cv2.resize(picture, (16, 12), interpolation=cv2.INTER_AREA)
    return seen.transpose(2, 0, 1) / np.float32(255), seen

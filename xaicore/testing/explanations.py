"""Explanations whose maps, outputs and pictures are given, for checks of loggers."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from xaicore.backend import Layer
from xaicore.explainer import Explainer
from xaicore.explanation import Explanation
from xaicore.methods import Method
from xaicore.show import Drawing
from xaicore.targets import TopK
from xaicore.testing.fixed import FixedBackend

__all__ = ["Failing", "arrays_of", "example", "explanation", "frozen"]


def explanation(
    maps: np.ndarray,
    size: tuple[int, ...] | None = None,
    method: str = "given",
    outputs: np.ndarray | None = None,
    signed: bool = False,
    **known: Any,
) -> Explanation:
    """Of maps (N, K, *S), K of the classes 0 to 3 each; images, ids, truth and class_names as in a call."""

    def given(activations: np.ndarray, _: None) -> np.ndarray:
        return activations

    n, k = maps.shape[:2]
    if outputs is None:
        outputs = np.random.default_rng(n).normal(size=(n, 4)).astype(np.float32)
    maps = maps.astype(np.float32)
    layers = [Layer("conv", "Conv", maps.shape, spatial=True)]
    backend = FixedBackend(outputs, maps, input_size=maps.shape[2:] if size is None else size, layers=layers)
    named = Method(method, given, "activations", signed)
    explainer = Explainer(None, named, backend=backend, layer="conv")
    return explainer(maps, targets=TopK(k), **known)


def example(n: int = 3, k: int = 2, seed: int = 0, size: tuple[int, int] = (14, 18), **known: Any) -> Explanation:
    """Random maps of 5 x 7 over random pictures."""
    rng = np.random.default_rng(seed)
    known.setdefault("images", rng.integers(0, 256, (n, *size, 3), np.uint8))
    return explanation(rng.random((n, k, 5, 7)) * rng.uniform(0.1, 9), size, **known)


class Failing(Explanation):
    """An explanation that cannot be read beyond its first row."""

    def row(self, m: int, drawing: Drawing | None = None) -> dict[str, Any]:
        """The first row.

        Raises:
            ArithmeticError: for any other.
        """
        if m:
            raise ArithmeticError("raised on purpose, in the middle of an explanation")
        return super().row(m, drawing)

    @staticmethod
    def of(one: Explanation) -> Failing:
        """The same explanation, failing."""
        return Failing(**{field.name: getattr(one, field.name) for field in fields(one)})


def frozen(one: Explanation) -> Explanation:
    """The explanation with arrays that cannot be written to."""
    for field in fields(one):
        value = getattr(one, field.name)
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    if one.images is not None:
        one.images.flags.writeable = False
    return one


def arrays_of(one: Explanation) -> dict[str, Any]:
    """All arrays of an explanation, copied."""
    found = {field.name: getattr(one, field.name) for field in fields(one)} | {"images": one.images}
    return {name: value.copy() for name, value in found.items() if isinstance(value, np.ndarray)}

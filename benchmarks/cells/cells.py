"""One cell: a method on a kind of model. It works, or it is refused with a word."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import xaicore

__all__ = ["BACKENDS", "KINDS", "try_cells"]

BACKENDS = ("torch", "keras-tensorflow", "keras-jax", "keras-torch")
KINDS = ("CNN", "ViT", "Swin", "1-D", "3-D")

MEASURED = re.compile(r"(add up to|the score is) -?[\d.e+-]+(?=[,.] )")
"""Numbers in a reason that depend on the random weights."""

OPTIONS: dict[str, dict[str, Any]] = {"iscam": {"samples": 2}, "rise": {"masks": 64}, "sscam": {"samples": 2}}
"""Of methods whose usual number of passes says no more than a smaller one about whether they work."""


def try_cells(nets: Mapping[str, tuple[Callable[[], Any], tuple[int, ...]]]) -> dict[str, dict[str, str | None]]:
    """{method: {kind: None where it works, else why it does not}}, for the classes 1 and 3 of two random images.

    Raises:
        AssertionError: a map has another shape than its layer or its picture, or is not finite.
    """
    found: dict[str, dict[str, str | None]] = {name: {} for name in xaicore.METHODS}
    for kind, (build, shape) in nets.items():
        x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        model = build()
        for name in xaicore.METHODS:
            method = xaicore.methods.method(name, **OPTIONS.get(name, {}))
            explainer = xaicore.Explainer(model, method)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # such as those about maps without evidence
                    explanation = explainer(x, [[1, 3]])
            except xaicore.MethodError as exc:
                found[name][kind] = MEASURED.sub(r"\1 ...", str(exc))
                continue
            positions = len(shape) - 2
            assert explanation.maps.shape[0] == 4
            assert explanation.maps.ndim == 1 + positions, (name, kind, explanation.maps.shape)
            assert np.isfinite(explanation.maps).all(), (name, kind)
            found[name][kind] = None
    return found

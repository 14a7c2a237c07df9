"""One colour scale for all steps, so that their heatmaps can be compared."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xaicore import maps
from xaicore.errors import InputError
from xaicore.explanation import Explanation

__all__ = ["Scale"]


class Scale:
    """The map value at the top of the colour scale, for each method.

    Args:
        scale: None: each map has a scale of its own. "first": the top of a method's first maps with any
            evidence, as `Explanation.scaling` finds it. A number, or {method: number}.
        methods: the methods' names.

    Raises:
        InputError: `scale` is none of these.
    """

    def __init__(self, scale: float | str | Mapping[str, float] | None, methods: Sequence[str]) -> None:
        self._from_first_step = scale == "first"
        self._first: dict[tuple[str, str], float] = {}  # by method and layer
        self.tops: dict[str, float] = {}
        if isinstance(scale, Mapping):
            missing = [name for name in methods if name not in scale]
            if missing:
                raise InputError(f"scale has no number for {', '.join(missing)}: expected one for each method")
            self.tops = {name: _number(scale[name], scale) for name in methods}
        elif scale is not None and not self._from_first_step:
            self.tops = dict.fromkeys(methods, _number(scale, scale))

    def __call__(self, explanation: Explanation) -> Explanation:
        """The same explanation, on this scale."""
        key = explanation.method, explanation.layer
        if self._from_first_step and key not in self._first and not explanation.empty.all():
            self._first[key] = float(maps.tops(explanation.maps, explanation.scaling).max())
        top = self._first.get(key, self.tops.get(explanation.method))
        if top is None:
            return explanation
        return dataclasses.replace(explanation, ceilings=np.full(len(explanation), top, np.float32))


def _number(value: Any, scale: Any) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf:
        return float(value)
    raise InputError(f"scale={scale!r}: expected None, 'first', a positive number, or {{method: number}}")

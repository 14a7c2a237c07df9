"""A backend that hands out what it was given, to make explanations whose maps are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xaicore.backend import Backend, Direction, Layer
from xaicore.capture import Capture

__all__ = ["FixedBackend"]


class FixedBackend(Backend):
    """Hands out whatever it was given: a pass that went wrong, a layer that is no map."""

    name = "fixed"

    def __init__(
        self,
        outputs: np.ndarray,
        activations: np.ndarray,
        gradients: np.ndarray | None = None,
        input_size: tuple[int, ...] = (6, 8),
        kind: str = "logits",
        link: str | None = None,
        direction_calls: int = 1,
        layers: Sequence[Layer] | None = None,
    ) -> None:
        self._capture = (outputs, activations, gradients, input_size, kind, link)
        self._direction_calls = direction_calls
        self._layers = layers or [Layer("map", "Conv", activations.shape, spatial=True)]

    def layers(self, inputs: Any) -> Sequence[Layer]:
        """As given; a map if nothing was."""
        return self._layers

    def capture(self, inputs: Any, layers: Sequence[str], direction: Direction | None = None) -> Capture:
        """The given arrays for every layer; gradients of ones if none were given."""
        outputs, activations, gradients, size, kind, link = self._capture
        given: dict[str, Any] = {}
        if direction is not None:
            for _ in range(self._direction_calls):
                d = direction(outputs, kind)
                assert d.dtype == np.float32
                k = d.shape[1]
            if self._direction_calls and gradients is None:
                gradients = np.ones((len(outputs), k, *activations.shape[1:]), np.float32)
            given = {name: gradients for name in layers}
        return Capture(outputs, kind, {name: activations for name in layers}, size, given, link)

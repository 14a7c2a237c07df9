"""Which map leads to every box of a detector. The last one lies in its head: it leads to the boxes of one level alone,
or to each from the single position that is its score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from xaicore.backend import Backend
from xaicore.capture import Capture
from xaicore.errors import LayerError
from xaicore.evidence.reduced import reached_positions
from xaicore.facts import LayerFacts
from xaicore.layers import Grid, Places
from xaicore.targets import Aim

__all__ = ["layer_before"]

AT_ONCE = 2**25
"""The most numbers in the gradients of one pass, 128 MB."""


def layer_before(backend: Backend, x: Any, places: Places, captured: Capture, aim: Aim) -> str | None:
    """The map to explain instead of the one that was found, where that does not lead to all boxes; else None.

    The last one that leads to all boxes, from two positions or more each; where none does, to the most of them.

    Args:
        backend, x: the model and what it takes.
        places: where it is explained, at a layer that was found.
        captured, aim: of the pass over x.
    """
    _, place = places.find(x)
    if place is None or place.views > 1 or len(places.layers) != 1 or aim.boxes is None:
        return None
    (name,) = places.layers
    has_box = ~np.isnan(aim.boxes).any(axis=-1)

    def led_to(positions: np.ndarray) -> int:
        return int((positions[has_box] > 1).sum())

    reached = reached_positions(captured, name)
    if reached is None:
        gradients = dict(captured.gradients) if name in captured.gradients else _pulled(backend, x, [name], aim)
        if name not in gradients:
            return None
        reached = _positions(gradients[name], place.grids[name])
    best, most = None, led_to(reached)
    for maps in _some(places.before(x), aim.classes.size):
        if most == has_box.sum():
            break
        gradients = _pulled(backend, x, [layer.name for layer, _ in maps], aim)
        for layer, grid in maps:
            led = led_to(_positions(gradients[layer.name], grid)) if layer.name in gradients else 0
            if led > most:
                best, most = layer.name, led
    return best


def _positions(gradient: np.ndarray, grid: Grid) -> np.ndarray:
    """At how many positions the gradient of each target is not zero, (N, K)."""
    arranged = grid.arrange(gradient, targets=True)
    found: np.ndarray = (arranged != 0).any(axis=2).reshape(*arranged.shape[:2], -1).sum(axis=-1)
    return found


def _pulled(backend: Backend, x: Any, names: Sequence[str], aim: Aim) -> dict[str, np.ndarray]:
    """The gradients at these layers; none where one of them does not lead to the outputs."""
    try:
        return dict(backend.capture(x, names, lambda *outputs: aim.direction).gradients)
    except LayerError:
        return {}


def _some(maps: Sequence[tuple[LayerFacts, Grid]], rows: int) -> Iterator[list[tuple[LayerFacts, Grid]]]:
    """Maps whose gradients fit into memory together."""
    some: list[tuple[LayerFacts, Grid]] = []
    total = 0
    for layer, grid in maps:
        size = prod(layer.shape) * rows
        if some and total + size > AT_ONCE:
            yield some
            some, total = [], 0
        some.append((layer, grid))
        total += size
    if some:
        yield some

"""What an engine sees in one pass. Imports no Keras: it is part of the contract of engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.recording import mixture

__all__ = ["Among", "Flow", "Pull", "Seen", "along_axes", "mixture"]

Pull = Callable[[int, np.ndarray], np.ndarray | None]
"""`pull(i, weights)`: the gradient at input i of the sum of weights * tensor; None where the framework has none."""


Among = Callable[[Sequence[Any]], "tuple[int, ...] | None"]
"""`among(calls)`: the positions of the calls whose outputs a tensor depends on; None where that is not known."""


@dataclass(frozen=True)
class Flow:
    """What flows into a call and out of it.

    Attributes:
        reads: the positions of the inputs that its output depends on; None where that is not known.
        reached: as in `LayerFacts`.
        pull: of the first tensor that it took.
        among: of its output.
        takes: the positions of the inputs that the first tensor that it took depends on; None where that is not known.
    """

    reads: tuple[int, ...] | None = None
    reached: dict[int, list[bool]] | None = None
    pull: Pull = lambda i, weights: None
    among: Among = lambda calls: None
    takes: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Seen:
    """What an engine saw in one pass.

    Attributes:
        output: the chosen output.
        link: what the last operation of the framework's own graph computes: "softmax", "sigmoid" or None.
        flows: of each call that was recorded.
    """

    output: Any
    link: str | None
    flows: Sequence[Flow]


def along_axes(arrivals: np.ndarray, shape: Sequence[int]) -> dict[int, list[bool]]:
    """One vector for all axes of a shape, where a gradient arrives, as {axis: where}; empty where it does not."""
    if not arrivals.any():
        return {}
    ends = np.cumsum(shape)
    return {
        axis: arrivals[end - length : end].tolist() for axis, (end, length) in enumerate(zip(ends, shape, strict=True))
    }

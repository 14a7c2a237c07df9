"""What a row of a reduced layer says before its maps: facts that are checked, in the place of whole arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore.capture import Capture
from xaicore.evidence.checks import check_bad

__all__ = ["FACTS", "check_reduced", "facts_of", "reached_positions"]

FACTS = 3
"""Per row and target: how many activations are not finite, how many gradients, at how many positions one is not 0."""


def facts_of(xp: Any, activations: Any, gradients: Any) -> list[Any]:
    """The facts of activations (rows, C, *S) and gradients (rows, K, C, *S), three arrays (rows, 1 or K, 1) of `xp`."""
    rows, k = gradients.shape[:2]
    flat_a, flat_g = xp.reshape(activations, (rows, 1, -1)), xp.reshape(gradients, (rows, k, -1))
    at_positions = xp.reshape(xp.sum(xp.abs(gradients), axis=2), (rows, k, -1))
    facts = (xp.logical_not(xp.isfinite(flat_a)), xp.logical_not(xp.isfinite(flat_g)), at_positions != 0)
    return [xp.sum(fact, axis=-1)[..., None] for fact in facts]


def check_reduced(layer: str, table: np.ndarray, size: int) -> None:
    """Refuse what was computed of arrays that are not finite.

    Args:
        layer: for the message.
        table: (rows, K, L).
        size: of its activations.

    Raises:
        BackendError: some are NaN or infinite.
    """
    check_bad(table[:, 0, 0].sum(), size, f"the activations of layer {layer!r}")
    check_bad(table[:, :, 1].sum(), size * table.shape[1], f"the gradients at layer {layer!r}")


def reached_positions(captured: Capture, run: str) -> np.ndarray | None:
    """At how many positions of a reduced layer the gradient of each target arrives, (N, K); None where it is whole."""
    return captured.reduced[run][..., 2] if run in captured.reduced else None

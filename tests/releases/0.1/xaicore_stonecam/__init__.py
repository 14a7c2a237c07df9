"""A method: the positive part of the sum over channels of the positive gradients times the activations, to a power."""

import numpy as np

from xaicore import maps


def stonecam(activations: np.ndarray, gradients: np.ndarray, power: float = 1.0) -> np.ndarray:
    """Activations are (N, C, *S), gradients (N, K, C, *S), the maps (N, K, *S)."""
    weights = np.maximum(gradients, 0).reshape(*gradients.shape[:3], -1).mean(axis=-1)
    return maps.weighted_sum(weights, activations) ** power


stonecam.needs = "gradients"  # type: ignore[attr-defined]  # an attribute of a function

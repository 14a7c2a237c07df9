"""Counterfactual Grad-CAM (Selvaraju et al. 2017, section 7.2): the places whose removal would raise the score."""

import numpy as np

from xaicore import maps

__all__ = ["counterfactual"]


def counterfactual(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """The positive part of sum_c w_c A_c, w_c the spatial mean of -G_c.

    Activations are (N, C, *S), gradients (N, K, C, *S), the maps (N, K, *S).
    """
    weights = -gradients.reshape(*gradients.shape[:3], -1).mean(axis=-1)
    return maps.weighted_sum(weights, activations)


counterfactual.needs = "gradients"  # type: ignore[attr-defined]  # an attribute of a function

"""Methods that weigh whole channels by their gradients.

A (N, C, *S) activations, G (N, K, C, *S) gradients of the score with respect to A; maps (N, K, *S). Arrays are those of
the module `xp`: NumPy's here, or a framework's on its own device.
"""

from math import inf
from typing import Any

import numpy as np

from xaicore.maps import weighted_sum

__all__ = ["gradcam", "gradcam_plus_plus", "weights_of_powers", "xgradcam"]


def gradcam(activations: Any, gradients: Any, xp: Any = np) -> Any:
    """Grad-CAM (Selvaraju et al. 2017): sum_c w_c A_c, w_c the spatial mean of G_c."""
    weights = xp.mean(_flat(gradients, xp), axis=-1)
    return weighted_sum(weights, activations, xp)


def gradcam_plus_plus(activations: Any, gradients: Any, xp: Any = np) -> Any:
    """Grad-CAM++ (Chattopadhay et al. 2018): sum_c w_c A_c, w_c = S(max(G_c, 0) alpha_c).

    alpha = G^2 / (2 G^2 + S(A) G^3), S the spatial sum, and 0 where G = 0: the paper's closed form for the
    exponential of the score. It contains no exponential, so that large logits cannot overflow.
    """
    # float32 is off by 2e-4 on signed activations: the denominator cancels.
    g = xp.asarray(gradients, dtype=xp.float64)
    square = g * g  # g**3 takes ten times as long
    return weighted_sum(weights_of_powers(activations, g, square, square * g, xp), activations, xp)


def weights_of_powers(activations: Any, first: Any, second: Any, third: Any, xp: Any = np) -> Any:
    """Grad-CAM++'s weights (N, K, C) of the first three derivatives, (N, K, C, *S) float64 each."""
    n, channels = activations.shape[:2]
    d1, d2, d3 = (_flat(one, xp) for one in (first, second, third))
    total = xp.sum(xp.reshape(activations, (n, 1, channels, -1)), axis=-1, dtype=xp.float64)
    below = 2 * d2 + total[..., None] * d3
    alpha = d2 / xp.where(below == 0, inf, below)
    return xp.sum(xp.clip(d1, 0, None) * alpha, axis=-1)


def xgradcam(activations: Any, gradients: Any, xp: Any = np) -> Any:
    """XGrad-CAM (Fu et al. 2020): sum_c w_c A_c, w_c = S(G_c A_c) / S(A_c), 0 where S(A_c) = 0."""
    n, channels = activations.shape[:2]
    a = xp.reshape(activations, (n, 1, channels, -1))
    together = xp.sum(_flat(gradients, xp) * a, axis=-1, dtype=xp.float64)
    total = xp.sum(a, axis=-1, dtype=xp.float64)
    return weighted_sum(together / xp.where(total == 0, inf, total), activations, xp)


def _flat(gradients: Any, xp: Any) -> Any:
    """(N, K, C, positions)."""
    return xp.reshape(gradients, (*gradients.shape[:3], -1))

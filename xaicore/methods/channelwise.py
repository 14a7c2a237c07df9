"""Methods that weigh whole channels by their gradients.

A (N, C, *S) activations, G (N, K, C, *S) gradients of the score with respect to A; maps (N, K, *S).
"""

import numpy as np

from xaicore.maps import weighted_sum

__all__ = ["gradcam", "gradcam_plus_plus", "weights_of_powers", "xgradcam"]


def gradcam(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Grad-CAM (Selvaraju et al. 2017): sum_c w_c A_c, w_c the spatial mean of G_c."""
    weights = gradients.reshape(*gradients.shape[:3], -1).mean(axis=-1)
    return weighted_sum(weights, activations)


def gradcam_plus_plus(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Grad-CAM++ (Chattopadhay et al. 2018): sum_c w_c A_c, w_c = S(max(G_c, 0) alpha_c).

    alpha = G^2 / (2 G^2 + S(A) G^3), S the spatial sum, and 0 where G = 0: the paper's closed form for the
    exponential of the score. It contains no exponential, so that large logits cannot overflow.
    """
    # float32 is off by 2e-4 on signed activations: the denominator cancels.
    g = gradients.astype(np.float64)
    return weighted_sum(weights_of_powers(activations, g, g**2, g**3), activations)


def weights_of_powers(activations: np.ndarray, first: np.ndarray, second: np.ndarray, third: np.ndarray) -> np.ndarray:
    """Grad-CAM++'s weights (N, K, C) of the first three derivatives, (N, K, C, *S) float64 each."""
    n, channels = activations.shape[:2]
    d1, d2, d3 = (one.reshape(*one.shape[:3], -1) for one in (first, second, third))
    total = activations.reshape(n, 1, channels, -1).sum(axis=-1, keepdims=True, dtype=np.float64)
    below = 2 * d2 + total * d3
    alpha = np.divide(d2, below, out=np.zeros_like(d2), where=below != 0)
    weights: np.ndarray = (np.maximum(d1, 0) * alpha).sum(axis=-1)
    return weights


def xgradcam(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """XGrad-CAM (Fu et al. 2020): sum_c w_c A_c, w_c = S(G_c A_c) / S(A_c), 0 where S(A_c) = 0."""
    n, k, channels = gradients.shape[:3]
    a = activations.reshape(n, 1, channels, -1)
    together = (gradients.reshape(n, k, channels, -1) * a).sum(axis=-1, dtype=np.float64)
    total = np.broadcast_to(a.sum(axis=-1, dtype=np.float64), together.shape)
    weights = np.divide(together, total, out=np.zeros_like(together), where=total != 0)
    return weighted_sum(weights, activations)

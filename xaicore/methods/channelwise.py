"""Methods that weigh whole channels by their gradients.

A (N, C, *S) activations, G (N, K, C, *S) gradients of the score with respect to A; maps (N, K, *S).
"""

import numpy as np

from xaicore.maps import weighted_sum

__all__ = ["gradcam", "gradcam_plus_plus", "xgradcam"]


def gradcam(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Grad-CAM (Selvaraju et al. 2017): sum_c w_c A_c, w_c the spatial mean of G_c."""
    weights = gradients.reshape(*gradients.shape[:3], -1).mean(axis=-1)
    return weighted_sum(weights, activations)


def gradcam_plus_plus(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Grad-CAM++ (Chattopadhay et al. 2018): sum_c w_c A_c, w_c = S(max(G_c, 0) alpha_c).

    alpha = G^2 / (2 G^2 + S(A) G^3), S the spatial sum, and 0 where G = 0: the paper's closed form for the
    exponential of the score. It contains no exponential, so that large logits cannot overflow.
    """
    n, k, channels = gradients.shape[:3]
    # float32 is off by 2e-4 on signed activations: the denominator cancels.
    g = gradients.reshape(n, k, channels, -1).astype(np.float64)
    total = activations.reshape(n, 1, channels, -1).sum(axis=-1, keepdims=True, dtype=np.float64)
    below = 2 * g**2 + total * g**3
    alpha = np.divide(g**2, below, out=np.zeros_like(g), where=below != 0)
    return weighted_sum((np.maximum(g, 0) * alpha).sum(axis=-1), activations)


def xgradcam(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """XGrad-CAM (Fu et al. 2020): sum_c w_c A_c, w_c = S(G_c A_c) / S(A_c), 0 where S(A_c) = 0."""
    n, k, channels = gradients.shape[:3]
    a = activations.reshape(n, 1, channels, -1)
    together = (gradients.reshape(n, k, channels, -1) * a).sum(axis=-1, dtype=np.float64)
    total = np.broadcast_to(a.sum(axis=-1, dtype=np.float64), together.shape)
    weights = np.divide(together, total, out=np.zeros_like(together), where=total != 0)
    return weighted_sum(weights, activations)

"""Methods that weigh every position by its own gradient.

A (N, C, *S) activations, G (N, K, C, *S) gradients of the score with respect to A; maps (N, K, *S).
"""

import numpy as np

__all__ = ["gradcam_elementwise", "hirescam", "layercam"]


def hirescam(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """HiResCAM (Draelos & Carin 2020): sum_c G_c A_c."""
    return _sum_of_products(gradients, activations)


def gradcam_elementwise(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Element-wise Grad-CAM: sum_c max(G_c A_c, 0)."""
    return np.maximum(gradients * activations[:, None], 0).sum(axis=2)


def layercam(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """LayerCAM (Jiang et al. 2021): sum_c max(G_c, 0) A_c."""
    return _sum_of_products(np.maximum(gradients, 0), activations)


def _sum_of_products(left: np.ndarray, activations: np.ndarray) -> np.ndarray:
    return np.einsum("nkc...,nc...->nk...", left, activations)

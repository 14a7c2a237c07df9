"""Methods that weigh every position by its own gradient.

A (N, C, *S) activations, G (N, K, C, *S) gradients of the score with respect to A; maps (N, K, *S). Arrays are those of
the module `xp`: NumPy's here, or a framework's on its own device.
"""

from typing import Any

import numpy as np

__all__ = ["gradcam_elementwise", "hirescam", "layercam"]


def hirescam(activations: Any, gradients: Any, xp: Any = np) -> Any:
    """HiResCAM (Draelos & Carin 2020): sum_c G_c A_c."""
    return _sum_of_products(gradients, activations, xp)


def gradcam_elementwise(activations: Any, gradients: Any, xp: Any = np) -> Any:
    """Element-wise Grad-CAM: sum_c max(G_c A_c, 0)."""
    return xp.sum(xp.clip(gradients * activations[:, None], 0, None), axis=2)


def layercam(activations: Any, gradients: Any, xp: Any = np) -> Any:
    """LayerCAM (Jiang et al. 2021): sum_c max(G_c, 0) A_c."""
    return _sum_of_products(xp.clip(gradients, 0, None), activations, xp)


def _sum_of_products(left: Any, activations: Any, xp: Any) -> Any:
    return xp.einsum("nkc...,nc...->nk...", left, activations)

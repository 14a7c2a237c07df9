"""Eigen-CAM with a kernel in the place of the inner product."""

import numpy as np

from xaicore.errors import MethodError
from xaicore.methods.eigen import agreeing

__all__ = ["kpcacam"]

KERNELS = ("sigmoid", "rbf")

MOST = 4096
"""Positions whose kernel matrix is decomposed: its memory grows with their square, the time with their cube."""


def kpcacam(
    activations: np.ndarray, gradients: None = None, *, kernel: str = "sigmoid", gamma: float | None = None
) -> np.ndarray:
    """KPCA-CAM (Karmani et al. 2024): the first kernel principal component of the positions' feature vectors.

    X (positions, C) are the activations, centred over positions. K is their kernel matrix, centred in both directions:
    "sigmoid", tanh(gamma x.y + 1), or "rbf", exp(-gamma |x - y|^2); gamma is 1 / C by default. The map is
    sqrt(l) v, l the largest eigenvalue of K and v its eigenvector. Kernels and defaults are those of grad-cam's
    KPCA_CAM, which the article's authors wrote, and of scikit-learn behind it. The sign, which is arbitrary there, is
    Eigen-CAM's. The map (N, 1, *S) is the same for every target.

    Raises:
        MethodError: an option is out of range, or there are more than 4096 positions.
    """
    if kernel not in KERNELS or not (gamma is None or gamma > 0):
        raise MethodError(
            f"method 'kpcacam' with kernel={kernel!r}, gamma={gamma!r}: expected one of {', '.join(KERNELS)}, and "
            "a number above 0 or None"
        )
    n, channels, *spatial = activations.shape
    raw = activations.reshape(n, channels, -1).swapaxes(1, 2).astype(np.float64)
    if raw.shape[1] > MOST:
        raise MethodError(
            f"method 'kpcacam' compares each of {raw.shape[1]} positions with every other, at most {MOST}: name a "
            "later layer, or use 'eigencam'"
        )
    x = raw - raw.mean(axis=1, keepdims=True)
    maps = np.stack([_first_component(one, kernel, 1 / channels if gamma is None else gamma) for one in x])
    return agreeing(maps, raw.sum(axis=-1)).reshape(n, 1, *spatial)


def _first_component(x: np.ndarray, kernel: str, gamma: float) -> np.ndarray:
    """(positions,): the first kernel principal component of rows x (positions, C), its sign open."""
    products = x @ x.T
    if kernel == "sigmoid":
        k = np.tanh(gamma * products + 1)
    else:
        squares = np.diag(products)
        k = np.exp(-gamma * np.maximum(squares[:, None] + squares - 2 * products, 0))
    rounding = len(k) * np.finfo(k.dtype).eps * np.abs(k).max()  # of positions that are all alike
    k = k - k.mean(axis=0) - k.mean(axis=1, keepdims=True) + k.mean()
    values, vectors = np.linalg.eigh(k)
    component: np.ndarray = vectors[:, -1] * (np.sqrt(values[-1]) if values[-1] > rounding else 0)
    return component

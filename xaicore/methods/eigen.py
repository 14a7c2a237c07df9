"""Methods that project onto the first principal component (Eigen-CAM; Muhammad & Yeasin 2020).

The positions' feature vectors form a matrix X (positions, C), centred over positions. The map is X v, v the
first right singular vector. Its sign is arbitrary in the paper; here it is the one whose map correlates
positively with the features' sum over channels, so that much activation means much heat; where that
correlation vanishes, the entry of the largest magnitude is positive.
"""

import numpy as np

__all__ = ["agreeing", "eigencam", "eigengradcam", "segeigencam"]


def eigencam(activations: np.ndarray, gradients: None = None) -> np.ndarray:
    """Eigen-CAM: X = A. The map (N, 1, *S) is the same for every target."""
    return _by_features(activations[:, None])


def eigengradcam(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Eigen-Grad-CAM: X = G A, position by position. Maps (N, K, *S)."""
    return _by_features(gradients * activations[:, None])


def segeigencam(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Seg-Eigen-CAM (Chung & Ying 2025): X = |G| A, position by position. Maps (N, K, *S).

    The sign is the article's: the entry of the largest magnitude is positive. Made for segmentation, it works for any
    score. grad-cam 1.5.7 has the same form.
    """
    features = np.abs(gradients) * activations[:, None]
    component, _ = _first_component(features)
    return _signed_by(component, _peak(component)).reshape(*features.shape[:2], *features.shape[3:])


def _by_features(features: np.ndarray) -> np.ndarray:
    component, total = _first_component(features)
    return agreeing(component, total).reshape(*features.shape[:2], *features.shape[3:])


def _first_component(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, K, C, *S): the projection (N, K, positions), its sign open, and their sum over channels."""
    n, k, channels = features.shape[:3]
    raw = features.reshape(n, k, channels, -1).swapaxes(-1, -2).astype(np.float64)
    x = raw - raw.mean(axis=-2, keepdims=True)
    # Through the smaller Gram matrix: hundreds of times faster than a singular value decomposition of x.
    if x.shape[-2] <= channels:
        values, vectors = np.linalg.eigh(x @ x.swapaxes(-1, -2))
        projected = vectors[..., -1] * np.sqrt(np.maximum(values[..., -1:], 0))
    else:
        _, vectors = np.linalg.eigh(x.swapaxes(-1, -2) @ x)
        projected = (x @ vectors[..., -1:])[..., 0]
    return projected, raw.sum(axis=-1)


def agreeing(projected: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Maps (..., positions), turned over where they correlate negatively with a reference (..., positions)."""
    reference = reference - reference.mean(axis=-1, keepdims=True)
    agree = (projected * reference).sum(axis=-1, keepdims=True)
    scale = np.linalg.norm(projected, axis=-1, keepdims=True) * np.linalg.norm(reference, axis=-1, keepdims=True)
    return _signed_by(projected, np.where(np.abs(agree) > 1e-9 * scale, agree, _peak(projected)))


def _peak(projected: np.ndarray) -> np.ndarray:
    """The entry of the largest magnitude of each map (..., positions), as an array (..., 1)."""
    return np.take_along_axis(projected, np.abs(projected).argmax(axis=-1)[..., None], axis=-1)


def _signed_by(projected: np.ndarray, sign: np.ndarray) -> np.ndarray:
    return projected * np.where(sign < 0, -1.0, 1.0)

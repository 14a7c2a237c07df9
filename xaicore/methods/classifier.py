"""The original class activation map, for nets that end in global average pooling and one dense layer."""

import numpy as np

from xaicore.maps import weighted_sum

__all__ = ["cam"]


def cam(activations: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """CAM (Zhou et al. 2016): sum_c w_c A_c, w the classifier's row of the class.

    A is (N, C, *S), w is (N, K, C), the map (N, K, *S).
    """
    return weighted_sum(weights, activations)

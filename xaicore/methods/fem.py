"""Activations alone, by the positions where a channel is far above its mean."""

from numbers import Real

import numpy as np

from xaicore.errors import MethodError
from xaicore.maps import weighted_sum

__all__ = ["fem"]


def fem(activations: np.ndarray, gradients: None = None, *, k: float = 2.0) -> np.ndarray:
    """FEM (Ahmed Asif Fuad et al. 2020): sum_c m_c B_c, B_c = 1 where A_c > m_c + k s_c, else 0.

    m_c and s_c are the mean and the standard deviation of A_c over positions. The map (N, 1, *S) is the same for every
    target. This is the article's form, and xplique's but for its >=, which marks every position of a constant channel.
    grad-cam's is another one: it weighs A_c itself by the fraction of positions in B_c.

    Raises:
        MethodError: `k` is no finite number.
    """
    if not isinstance(k, Real) or not np.isfinite(k):
        raise MethodError(f"method 'fem' with k={k!r}: expected a number of standard deviations, such as 2")
    flat = activations.reshape(*activations.shape[:2], -1).astype(np.float64)
    mean, deviation = flat.mean(axis=-1, keepdims=True), flat.std(axis=-1, keepdims=True)
    far_above = (flat > mean + k * deviation).reshape(activations.shape)
    return weighted_sum(mean.swapaxes(1, 2), far_above)

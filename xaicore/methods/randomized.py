"""The baseline of every comparison: a map that is independent of the model's decision."""

import numpy as np

from xaicore.maps import weighted_sum

__all__ = ["random"]


def random(activations: np.ndarray, gradients: None = None) -> np.ndarray:
    """Channels weighed by uniform noise in [-1, 1). The map (N, 1, *S) is the same for every target.

    The noise is the same in every call and for every image: a map does not depend on its batch, and the caller's
    random state is not used.
    """
    channels = activations.shape[1]
    weights = np.random.default_rng(0).uniform(-1, 1, (1, channels)).astype(activations.dtype)
    return weighted_sum(np.broadcast_to(weights, (len(activations), 1, channels)), activations)

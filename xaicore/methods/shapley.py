"""Methods of first and second derivatives."""

import numpy as np

from xaicore.evidence import Evidence
from xaicore.maps import weighted_sum

__all__ = ["shapleycam"]


def shapleycam(evidence: Evidence) -> np.ndarray:
    """ShapleyCAM (Cai 2025): sum_c w_c A_c, w_c the spatial mean of G_c - (H A)_c / 2.

    H is the Hessian of the score with respect to all of the layer's activations, so that H A has their shape. This
    expands the score to the second order: it gives Grad-CAM where nothing but sums and piecewise linear functions
    follow the layer. The score is the class's output before softmax, as in grad-cam, not ReST, a score that the article
    proposes beside it.

    Cost: one more pass, forward and twice backward.
    """
    values = evidence.gradients - 0.5 * evidence.second
    weights = values.reshape(*values.shape[:3], -1).mean(axis=-1)
    return weighted_sum(weights, evidence.activations)

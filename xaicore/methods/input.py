"""Gradients of the score with respect to the picture; the maps have the picture's resolution.

x (N, C, *S) the pictures as the model takes them, G (N, K, C, *S) the gradients, maps (N, K, *S). A picture has one map
for all of its channels. Where G is multiplied by the picture, the products are shares of the score, so that their sum
over the channels is the share of a pixel. G alone says how fast the score changes: the gradient and SmoothGrad show how
fast, in the channel where that is most (`max_c |G_c|`, Simonyan et al. 2013), and are not signed.
"""

from __future__ import annotations

import numpy as np

from xaicore.errors import MethodError
from xaicore.evidence import Evidence

__all__ = ["gradient", "input_x_gradient", "smoothgrad"]


def gradient(evidence: Evidence) -> np.ndarray:
    """The gradient, or saliency (Simonyan et al. 2013): max_c |G_c|. One pass."""
    return _largest(evidence.input_gradients())


def input_x_gradient(evidence: Evidence) -> np.ndarray:
    """Input x gradient (Shrikumar et al. 2016): sum_c x_c G_c, signed. One pass.

    The sum over all pixels is the score of a net of convolutions, ReLUs and poolings without biases.
    """
    return np.einsum("nkc...,nc...->nk...", evidence.input_gradients(), evidence.pictures)


def smoothgrad(evidence: Evidence, *, n: int = 50, sigma: float = 0.15) -> np.ndarray:
    """SmoothGrad (Smilkov et al. 2017): max_c |M_c|, M the mean gradient at x + e_i, i = 1 ... n. n passes more.

    The paper leaves open how channels are reduced; this is how it reduces those of the gradient. e_i is normal noise,
    the same for each picture and in every call, so that a map does not depend on its batch.

    Args:
        n: noisy pictures.
        sigma: the standard deviation of the noise, as a share of a picture's range, max(x) - min(x): in the paper, 10 %
            to 20 %.
    """
    if n < 1 or not 0 <= sigma < np.inf:
        raise MethodError(f"smoothgrad with n={n!r} and sigma={sigma!r}: expected n of 1 or more, and sigma >= 0")

    def noisy(pictures: np.ndarray, rows: slice) -> np.ndarray:
        scale = np.float32(sigma * np.ptp(pictures))
        noise = [np.random.default_rng(i).standard_normal(pictures.shape, np.float32) for i in _positions(rows)]
        return pictures + scale * np.stack(noise)

    return _largest(evidence.mean_gradients(n, noisy))


def _positions(rows: slice) -> range:
    return range(rows.start, rows.stop)


def _largest(gradients: np.ndarray) -> np.ndarray:
    largest: np.ndarray = np.abs(gradients).max(axis=2)
    return largest

"""Methods that average gradients over noisy copies of the picture."""

import numpy as np

from xaicore.errors import MethodError
from xaicore.evidence import Evidence, is_noise, noisy, reported
from xaicore.maps import weighted_sum
from xaicore.methods.channelwise import weights_of_powers

__all__ = ["smooth_gradcam_plus_plus"]


def smooth_gradcam_plus_plus(evidence: Evidence, *, n: int = 16, sigma: float = 0.15) -> np.ndarray:
    """Smooth Grad-CAM++ (Omeiza et al. 2019): Grad-CAM++ with G, G^2 and G^3 averaged over noisy copies.

    D1, D2, D3 the means of G, G^2, G^3 over n copies of the picture, each with noise of its own:
    sum_c w_c A_c, w_c = S(max(D1_c, 0) alpha_c), alpha = D2 / (2 D2 + S(A) D3), S the spatial sum and A the
    activations of the picture itself; 0 where the denominator is 0.

    The article prints D1 as the numerator of alpha. With one copy and no noise that is not Grad-CAM++, which it says to
    extend; D2 is, as in torchcam. torchcam multiplies alpha by the gradient of the last copy alone; here it is the mean
    over all, as in the article.

    Cost: n passes, forward and backward, and the first pass.

    Args:
        evidence: of the layer.
        n: noisy copies.
        sigma: the standard deviation of the noise, as a fraction of the picture's range.

    Raises:
        MethodError: an option is out of range.
    """
    if not is_noise(n, sigma):
        raise MethodError(
            f"method 'smoothgradcam++' with n={n!r}, sigma={sigma!r}: expected a number of noisy copies, and their "
            "noise as a fraction of the picture's range, such as 0.15"
        )
    pictures, count = evidence.pictures, len(evidence.passes.aim.classes)
    means: list[np.ndarray] = []
    with reported(evidence.passes.progress, n * count) as report:
        for copy in range(n):
            _, gradients = evidence.gradients_again(noisy(pictures, copy, sigma))
            g = gradients.astype(np.float64)
            powers = [g / n, g**2 / n, g**3 / n]
            means = [mean + one for mean, one in zip(means, powers, strict=True)] if means else powers
            report((copy + 1) * count, n * count)
    activations = evidence.activations
    return weighted_sum(weights_of_powers(activations, *means), activations)

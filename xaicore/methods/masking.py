"""Methods that mask the picture with each channel of a layer, and weigh the channel by the score of what is left.

A (N, C, *S) activations, x the pictures (N, D, *size) as the model takes them, f the score of the target: a class's
output as the model has it, its logit wherever that can be reached. H_c is A_c, upsampled to the size of the pictures
and then scaled to [0, 1], as the papers say; torchcam scales first. What a mask hides becomes 0: black for pixels of 0
to 255, the mean colour for normalised ones. Maps (N, K, *S) are sum_c w_c A_c, and w is the softmax over channels of
the scores. The papers subtract the score of a baseline from each, C = f(x H_c) - f(x_b), which a softmax does not see:
no pass is spent on it.

A constant channel masks nothing, and has no weight, as in the authors' code. `channels=` tries those with the largest
standard deviation over the picture, as Faster Score-CAM does; the others have no weight either.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xaicore.errors import MethodError
from xaicore.evidence import Evidence, is_unchanged
from xaicore.maps import resize, weighted_sum
from xaicore.methods.ranges import check_above, check_count
from xaicore.methods.strongest import scattered, strongest

__all__ = ["iscam", "scorecam", "sscam"]


def scorecam(evidence: Evidence, *, channels: int | None = None) -> np.ndarray:
    """Score-CAM (Wang et al. 2020): w = softmax_c f(x H_c). One pass per channel.

    f is the logit, and the softmax is over channels, as in the paper's algorithm. The authors' code weighs by the
    class's probability instead, without that softmax; its softmax over classes makes all weights of a single output 1.
    """
    return _weighed(evidence, channels, 1, lambda x, masks, copies: x * masks)


def sscam(
    evidence: Evidence,
    *,
    samples: int = 35,
    std: float = 2.0,
    noise: str = "mask",
    channels: int | None = None,
    seed: int = 0,
) -> np.ndarray:
    """SS-CAM (Wang et al. 2020): w = softmax_c of the mean over samples of f(x (H_c + e)), e ~ N(0, std^2).

    With noise="input", the paper's second variant, of f(x H_c + e). Each channel takes `samples` passes. All channels
    and images share the same noise, so that they differ in nothing else; the authors' code scales it by the range of
    each channel and averages probabilities.
    """
    check_count(samples, "samples")
    check_above(std, "std")
    if noise not in ("mask", "input"):
        raise MethodError(f"noise={noise!r}: expected 'mask' or 'input'")
    shape = evidence.pictures.shape[1:]
    shape = shape if noise == "input" else (1, *shape[1:])
    noisy = np.random.default_rng(seed).normal(0, std, (samples, *shape)).astype(np.float32)

    def changed(x: np.ndarray, masks: np.ndarray, copies: np.ndarray) -> np.ndarray:
        return x * masks + noisy[copies] if noise == "input" else x * (masks + noisy[copies])

    return _weighed(evidence, channels, samples, changed)


def iscam(evidence: Evidence, *, samples: int = 10, channels: int | None = None) -> np.ndarray:
    """IS-CAM (Naidu et al. 2020): w = softmax_c of the mean over i = 1 .. samples of f(x H_c i / samples).

    The integral of the score on the way from nothing to the masked picture. Each channel takes `samples` passes.
    torchcam adds the factors up, 1/10, 3/10, 6/10 ... 55/10, and so leaves the range of pictures.
    """
    check_count(samples, "samples")
    factors = (np.arange(1, samples + 1, dtype=np.float32) / samples).reshape(-1, *[1] * (evidence.pictures.ndim - 1))
    return _weighed(evidence, channels, samples, lambda x, masks, copies: x * (masks * factors[copies]))


def _weighed(
    evidence: Evidence,
    channels: int | None,
    samples: int,
    changed: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Maps (N, K, *S) of channels weighed by the scores of pictures that `changed(x, masks, copies)` makes.

    Args:
        evidence: of the first pass.
        channels: how many are tried.
        samples: pictures per channel; `copies` (R,) says which of them each row is.
        changed: takes a picture (D, *size) and masks (R, 1, *size), and returns R pictures.
    """
    a, x = evidence.activations, evidence.pictures
    flat = a.reshape(*a.shape[:2], -1)
    varies = flat.max(axis=-1) > flat.min(axis=-1)
    order, is_tried = strongest(flat.std(axis=-1) * varies, channels)

    def change(n: int, rows: slice) -> np.ndarray:
        each = np.arange(rows.start, rows.stop)
        first, last = rows.start // samples, (rows.stop - 1) // samples + 1
        masks = _masks(a[n, order[n, first:last]], x.shape[2:])
        return changed(x[n], masks[each // samples - first] if samples > 1 else masks, each % samples)

    count, tried = order.shape
    scores = evidence.scores(tried * samples, change)
    means = scores.reshape(count, tried, samples, scores.shape[2]).mean(axis=2)
    weights = _softmax(means, is_tried[..., None])
    if tried:
        weights *= ~is_unchanged(scores, evidence.own_scores())[:, None]
    return weighted_sum(scattered(weights, order, a.shape[1]), a)


def _masks(channels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Channels (R, *S) as masks (R, 1, *size) from 0 to 1; one that is constant hides nothing."""
    masks = resize(channels, size)
    axes = tuple(range(1, masks.ndim))
    low, high = masks.min(axis=axes, keepdims=True), masks.max(axis=axes, keepdims=True)
    masks = masks - low
    masks /= np.where(high > low, high - low, 1)
    masks[(high <= low).reshape(-1)] = 1
    return masks[:, None]


def _softmax(scores: np.ndarray, is_tried: np.ndarray) -> np.ndarray:
    """Softmax over channels of scores (N, R, K); zero where a channel is not tried."""
    top = np.max(scores, axis=1, keepdims=True, initial=-np.inf, where=is_tried)
    weights = np.exp(scores - top, out=np.zeros_like(scores), where=is_tried & np.isfinite(top))
    total = weights.sum(axis=1, keepdims=True)
    return np.divide(weights, total, out=weights, where=total > 0)

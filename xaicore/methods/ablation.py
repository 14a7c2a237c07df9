"""The method that takes channels away, one after the other."""

from __future__ import annotations

import numpy as np

from xaicore.evidence import Evidence
from xaicore.maps import weighted_sum
from xaicore.methods.strongest import scattered, strongest

__all__ = ["ablationcam"]


def ablationcam(evidence: Evidence, *, channels: int | None = None) -> np.ndarray:
    """Ablation-CAM (Ramaswamy & Desai 2020): sum_c w_c A_c, w_c = (y - y_c) / |y|.

    y (N, K) is the score, y_c the score with channel c at zero, A (N, C, *S) the activations; maps (N, K, *S). One pass
    from the layer on for each channel; one that is zero everywhere needs none. `channels=` tries those with the largest
    mean of |A_c|, and the others have no weight.

    The paper divides by y: where that is negative, as a logit may be, its map would show the evidence against the
    target. Where y is 0, w_c is the drop itself. grad-cam sets a channel to -1e7 where any activation is negative; here
    it is zero, as in the paper.
    """
    a, own = evidence.activations, evidence.unmasked
    order, is_tried = strongest(np.abs(own).reshape(*own.shape[:2], -1).mean(axis=-1), channels)

    def change(n: int, rows: slice) -> np.ndarray:
        without = order[n, rows]
        changed = np.repeat(own[n : n + 1], len(without), axis=0)
        changed[np.arange(len(without)), without] = 0
        return changed

    y = evidence.own_scores()[:, None]
    drops = (y - evidence.resumed(order.shape[1], change)) * is_tried[..., None]
    weights = drops / np.where(y == 0, 1, np.abs(y))
    return weighted_sum(scattered(weights, order, a.shape[1]), a)

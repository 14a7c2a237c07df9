"""FullGrad: the gradients of the picture and of every bias."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xaicore.errors import MethodError
from xaicore.evidence import Evidence
from xaicore.maps import resize

__all__ = ["fullgrad"]

MISSING = 0.01
"""The share of a score, or of its largest term, that rounding may take away from the sum of terms."""


def fullgrad(evidence: Evidence) -> np.ndarray:
    """FullGrad (Srinivas & Fleuret 2019): psi(x G) + sum over layers and their channels of psi(b_l G_l).

    Costs two more passes of each picture, which keep the outputs of its layers.

    x is the picture, G the gradient of the score there, b_l the bias of layer l, G_l the gradient at its output; psi
    takes the absolute value, rescales it to [0, 1] and resizes it to the picture. Biases are implicit, too: what a
    layer's output has beyond its derivative times what it takes, as in a batch norm or a GELU. Layers without
    positions, such as the classifier, have no place in the map.

    The paper rescales every channel for itself. Here, as in its authors' code, a layer is rescaled as a whole, since
    else the rounding noise of a channel without evidence would count as much as the strongest one.

    x G and all b_l G_l add up to the score (completeness) where a net consists of sums and of layers that take one
    tensor. This is tested, and other nets are refused: an attention, or a gate that multiplies a map, adds more.

    Raises:
        MethodError: the terms do not add up to the score.
    """
    of_input = evidence.input_gradients() * evidence.pictures[:, None]
    maps = _psi(of_input, evidence.size)
    for n, terms in enumerate(evidence.bias_terms()):
        _check_complete(evidence, n, of_input[n], terms)
        for layer, of_layer in terms.items():
            placed = evidence.placed(layer, of_layer)
            if placed is not None:
                maps[n] += _psi(placed, evidence.size)[0]
    return maps


def _psi(terms: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Terms (N, K, C, *S) as maps (N, K, *size)."""
    n, k = terms.shape[:2]
    shares = np.abs(terms).reshape(n, k, -1)
    low = shares.min(axis=-1, keepdims=True)
    span = shares.max(axis=-1, keepdims=True) - low
    shares = np.divide(shares - low, span, out=np.zeros_like(shares), where=span > 0)
    # The sum over channels first: resizing is linear, and a layer has hundreds of them.
    added = shares.reshape(terms.shape).sum(axis=2).reshape(n * k, *terms.shape[3:])
    return resize(added.astype(np.float32), size).reshape(n, k, *size)


def _check_complete(evidence: Evidence, n: int, of_input: np.ndarray, terms: Mapping[str, np.ndarray]) -> None:
    """Refuse terms of image n that do not add up to its scores, (K,).

    Raises:
        MethodError: they do not.
    """
    direction = evidence.passes.aim.direction[n]
    k = len(direction)
    scores = (direction.reshape(k, -1) * evidence.captured.outputs[n].reshape(1, -1)).sum(axis=1, dtype=np.float64)
    parts = [of_input, *(np.moveaxis(one, 1, 0) for one in terms.values())]
    sums = np.stack([part.reshape(k, -1).sum(axis=1, dtype=np.float64) for part in parts])
    off = np.abs(scores - sums.sum(axis=0))
    allowed = MISSING * np.maximum(np.abs(scores), np.abs(sums).max(axis=0))
    if (off > allowed).any():
        worst = int((off - allowed).argmax())
        raise MethodError(
            f"fullgrad: the terms of the input and of {len(terms)} layers add up to {sums[:, worst].sum():.4g}, and "
            f"the score is {scores[worst]:.4g}. The net does more than layers of one input can account for, such as "
            "attention, gates, or arithmetic between layers that adds a constant: use 'integrated-gradients'"
        )

"""Bias terms: what the bias of each layer adds to a score, by its gradient there."""

from __future__ import annotations

import numpy as np

from xaicore import trees
from xaicore.evidence.checks import check_captured
from xaicore.evidence.passes import Passes
from xaicore.evidence.scores import aim_again

__all__ = ["bias_terms"]


def bias_terms(passes: Passes, n: int) -> dict[str, np.ndarray]:
    """{layer: its bias times the gradient of each score at its output} of image n, in the framework's axes.

    The axis of targets follows the first: (1, K, *layer). Two passes, of this image alone: the outputs of all these
    layers are kept until the end.

    Args:
        passes: of the images.
        n: which image.

    Raises:
        BackendError: the backend left a layer out.
    """
    inputs = trees.take(passes.backend.with_batch_axis(passes.x), slice(n, n + 1), len(passes.aim.classes))
    biases = passes.backend.biases(inputs)
    names = tuple(biases)

    def direction(outputs: np.ndarray, kind: str) -> np.ndarray:
        return aim_again(
            passes.target, passes.aim.take(np.array([n])), outputs, *passes.settle(outputs, kind, None)
        ).direction

    capture = passes.backend.capture(inputs, names, direction)
    check_captured(names, capture, True, passes.backend.name)
    return {name: capture.gradients[name] * np.expand_dims(biases[name], 1) for name in names}

"""Bias terms: what the bias of each layer adds to a score, by its gradient there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from xaicore import trees
from xaicore.backend import Backend
from xaicore.capture import Capture
from xaicore.evidence.checks import check_captured
from xaicore.evidence.passes import Passes
from xaicore.layers import split_run

__all__ = ["bias_terms"]


def bias_terms(passes: Passes, n: int) -> dict[str, np.ndarray]:
    """{layer: its bias times the gradient of each score at its output} of image n, in the framework's axes.

    The axis of targets follows the first: (1, K, *layer). Layers that lead to other outputs alone are left out. Two
    passes, of this image alone: the outputs of all these layers are kept until the end.

    Args:
        passes: of the images.
        n: which image.

    Raises:
        BackendError: the backend left a layer out.
    """
    inputs = trees.take(passes.backend.with_batch_axis(passes.x), slice(n, n + 1), len(passes.aim.classes))
    biases = passes.backend.biases(inputs)
    names = tuple(biases) if passes.asking else _reaching(passes.backend, inputs, biases)

    take: Any = passes.backend.capture  # whose keywords a backend without the powers lacks
    capture: Capture = take(inputs, names, passes.aimed(np.array([n])), **passes.asking)
    check_captured(names, capture, True, passes.backend.name)
    return {name: capture.gradients[name] * np.expand_dims(biases[name], 1) for name in names}


def _reaching(backend: Backend, inputs: Any, names: Iterable[str]) -> tuple[str, ...]:
    """The layers that may reach the output that is explained: those of another output add nothing to its scores."""
    facts = backend.observe(inputs)
    known = {} if facts is None else facts.named

    def is_known_not_to(name: str) -> bool:
        layer = known.get(split_run(name)[0])
        return layer is not None and layer.runs == 1 and layer.reached is not None and not layer.reached

    return tuple(name for name in names if not is_known_not_to(name))

"""What a backend gives of one pass, as NumPy arrays, and gradients in half precision on the way there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from xaicore.errors import BackendError
from xaicore.outputs import KINDS, LINKS, Answer, Parts

__all__ = ["Attention", "Capture", "pull_in_half"]

HALF_SCALE = 1024.0
"""float16 loses gradients below 6e-8, so this multiple of them is computed; where it overflows, the plain ones."""


@dataclass(frozen=True, eq=False)
class Attention:
    """One attention of one pass: float32, N images, H heads, Q queries, T keys; the tokens that it mixes.

    Attributes:
        weights: (N, H, Q, T), after the softmax; every row sums to 1.
        query, key, value: (N, H, Q, D), (N, H, T, D), (N, H, T, E), as they are multiplied: scaled, rotated, shared
            between heads; None where the model computes the softmax by hand and nothing says what it was made of.
        output: (N, H, Q, E), the weights times the values, before the heads are joined; None as above.
        weights_gradients: (N, K, H, Q, T), the gradient of each of K scores; None where it was not asked for.
        output_gradients: (N, K, H, Q, E), likewise.
    """

    weights: np.ndarray
    query: np.ndarray | None = None
    key: np.ndarray | None = None
    value: np.ndarray | None = None
    output: np.ndarray | None = None
    weights_gradients: np.ndarray | None = None
    output_gradients: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Capture:
    """The result of one pass over the inputs: NumPy float32, channels first whatever the framework's layout.

    Attributes:
        outputs: (N, ...), the class axis at 1; logits wherever they can be reached.
        outputs_kind: "logits", "probabilities" or "values".
        activations: {layer: (N, C, *spatial)}.
        gradients: {layer: (N, K, C, *spatial)}; empty without a direction.
        input_size: the spatial shape of the input with the most axes, (H, W) for pictures.
        link: the activation that ends the model, on top of its logits: "softmax", "sigmoid" or None.
        attention: {name: attention}, of those that were asked for.
        input_gradients: {rule: (N, K, *input) for each input in the order of `Facts.inputs`}, for the rules that were
            asked for; None for an input that has no gradient, such as whole numbers.
        parts: {name or position: N arrays} of all outputs, where they were asked for, as the framework has them.
    """

    outputs: np.ndarray
    outputs_kind: str
    activations: Mapping[str, np.ndarray]
    input_size: tuple[int, ...]
    gradients: Mapping[str, np.ndarray] = field(default_factory=dict)
    link: str | None = None
    attention: Mapping[str, Attention] = field(default_factory=dict)
    input_gradients: Mapping[str, Sequence[np.ndarray | None]] = field(default_factory=dict)
    parts: Parts = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.outputs_kind not in KINDS:
            raise BackendError(f"Capture.outputs_kind is {self.outputs_kind!r}; expected one of {KINDS}")
        if self.link not in LINKS:
            raise BackendError(f"Capture.link is {self.link!r}; expected one of {LINKS}")

    @property
    def answer(self) -> Answer:
        """What the pass says of the outputs."""
        return Answer(self.outputs, self.outputs_kind, self.link, self.parts)


def pull_in_half(
    pull: Callable[[np.ndarray], Sequence[np.ndarray | None]], direction: np.ndarray
) -> list[np.ndarray | None]:
    """Gradients of a direction in float16, without the loss of small ones; for backends.

    Args:
        pull: pulls a direction back, to one gradient per layer, None where a layer does not reach the outputs. It may
            be called twice.
        direction: (N, K, *O) float32.
    """
    scale = np.float32(HALF_SCALE / max(1.0, float(np.abs(direction).max(initial=0))))
    scaled = pull(direction * scale)
    if all(gradient is None or np.isfinite(gradient).all() for gradient in scaled):
        return [None if gradient is None else gradient / scale for gradient in scaled]
    return list(pull(direction))

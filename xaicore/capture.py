"""What a backend gives of one pass, as NumPy arrays, and gradients in half precision on the way there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xaicore.errors import BackendError
from xaicore.outputs import KINDS, LINKS, Answer, Parts

__all__ = ["Attention", "Capture", "Reduction"]

Reduction = Callable[[Any, Any, Any], Any]
"""`reduction(xp, activations, gradients)` makes of a layer's arrays the one array (rows, K, L) that the core needs.

It is called where the tensors lie, with activations (N, ...) and gradients (N, K, ...) float32 in the framework's axes,
arrays of the module `xp`: `numpy`, `torch`, `jax.numpy` or another with the same names. Column k of what it returns
depends on the gradients of target k alone, so that a backend may call it for some of the targets at a time, and join
the results along axis 1. Zero gradients give zeros. An `XaicoreError` that it raises passes.
"""


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
        reduced: {layer: (rows, K, L)}, what its `Reduction` returned, where one was asked for; its activations and
            gradients are left out.
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
    reduced: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.outputs_kind not in KINDS:
            raise BackendError(f"Capture.outputs_kind is {self.outputs_kind!r}; expected one of {KINDS}")
        if self.link not in LINKS:
            raise BackendError(f"Capture.link is {self.link!r}; expected one of {LINKS}")

    @property
    def answer(self) -> Answer:
        """What the pass says of the outputs."""
        return Answer(self.outputs, self.outputs_kind, self.link, self.parts)

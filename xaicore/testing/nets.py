"""The contract of the kit's nets: fixed weights, and every activation and gradient in closed form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from xaicore.testing.arithmetic import head, head_back

__all__ = ["ChainNet", "Net"]

Values = Mapping[str, np.ndarray]


class Net(ABC):
    """A net that takes pictures and answers with scores of classes.

    No two lengths of its arrays are the same, so that swapped axes show.

    Attributes:
        name: what `lacks` calls it.
        layers: the names of its layers, in order; a framework may have some of them in one.
        maps: those of them whose outputs are maps.
        link: what is put on its logits: None, "softmax" or "sigmoid".
    """

    name: ClassVar[str]
    layers: ClassVar[tuple[str, ...]]
    maps: ClassVar[tuple[str, ...]]
    link: str | None = None

    @abstractmethod
    def pictures(self, count: int = 2, seed: int = 1) -> tuple[np.ndarray, ...]:
        """Its inputs, each (count, channels, height, width) float32 between -1 and 1."""

    @abstractmethod
    def forward(self, *pictures: np.ndarray) -> dict[str, np.ndarray]:
        """{layer: its output}, float64; "input", "input#2": the pictures; "dense": the logits (N, classes)."""

    @abstractmethod
    def pull(self, values: Values, d: np.ndarray, rule: str = "plain") -> dict[str, np.ndarray]:
        """{layer: the gradient of sum(d * logits)}, for d (N, classes)."""

    def backward(self, values: Values, d_logits: np.ndarray, rule: str = "plain") -> dict[str, np.ndarray]:
        """{layer: gradients (N, K, ...)} of K scores, for d_logits (N, K, classes)."""
        each = [self.pull(values, d_logits[:, k].astype(np.float64), rule) for k in range(d_logits.shape[1])]
        return {name: np.stack([one[name] for one in each], axis=1) for name in each[0]}

    def answer(self, values: Values) -> np.ndarray:
        """The net's answer (N, classes)."""
        return head(values["dense"], self.link)

    def answer_back(self, values: Values, d: np.ndarray) -> np.ndarray:
        """d score / d logits (N, K, classes), from d (N, K, classes) at the answer."""
        return head_back(d.astype(np.float64), values["dense"][:, None], self.link)


class ChainNet(Net):
    """A net in which each layer takes the output of the one before it."""

    @abstractmethod
    def step(self, layer: str, before: np.ndarray) -> np.ndarray:
        """The output of a layer."""

    @abstractmethod
    def back(self, layer: str, d: np.ndarray, before: np.ndarray, rule: str) -> np.ndarray:
        """The gradient at what a layer took, from d at its output."""

    def forward(self, *pictures: np.ndarray) -> dict[str, np.ndarray]:
        """Each layer's output."""
        (x,) = pictures
        return self.after("input", x.astype(np.float64))

    def after(self, layer: str, value: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of this layer, which is given, and of those behind it."""
        values = {layer: value}
        first = self.layers.index(layer) + 1 if layer in self.layers else 0
        for name in self.layers[first:]:
            value = values[name] = self.step(name, value)
        return values

    def pull(self, values: Values, d: np.ndarray, rule: str = "plain") -> dict[str, np.ndarray]:
        """From the logits back to the first of these values."""
        names = [name for name in ("input", *self.layers) if name in values]
        gradients = {names[-1]: d}
        for before, layer in zip(names[-2::-1], names[:0:-1], strict=True):
            d = gradients[before] = self.back(layer, d, values[before], rule)
        return gradients

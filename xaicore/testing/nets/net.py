"""The contract of the kit's nets: fixed weights, and every activation and gradient in closed form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from xaicore.testing.nets.arithmetic import head, head_back
from xaicore.testing.nets.steps import Step

__all__ = ["ChainNet", "GraphNet", "Net"]

Values = Mapping[str, np.ndarray]


class Net(ABC):
    """A net that takes pictures and answers with scores of classes.

    No two lengths of its arrays are the same, so that swapped axes show.

    Attributes:
        name: what `lacks` calls it.
        layers: the names of its layers, in order; a framework may have some of them in one.
        maps: those of them whose outputs are maps.
        end: the layer whose output is explained.
        link: what is put on its logits: None, "softmax" or "sigmoid".
        explains: which of several outputs is explained, the `output` of `xaicore_backend`; None where there is one.
        part: the rows and columns of the picture that the net reads.
    """

    name: ClassVar[str]
    layers: ClassVar[tuple[str, ...]]
    maps: ClassVar[tuple[str, ...]]
    end: str = "dense"
    link: str | None = None
    explains: int | str | None = None
    part: ClassVar[tuple[slice, slice]] = (slice(None), slice(None))

    @abstractmethod
    def pictures(self, count: int = 2, seed: int = 1) -> tuple[np.ndarray, ...]:
        """Its inputs, each (count, channels, height, width) float32 between -1 and 1."""

    @abstractmethod
    def forward(self, *pictures: np.ndarray) -> dict[str, np.ndarray]:
        """{layer: its output}, float64; "input", "input#2": the pictures; "dense": the logits (N, classes)."""

    @abstractmethod
    def pull(self, values: Values, d: np.ndarray, rule: str = "plain") -> dict[str, np.ndarray]:
        """{layer: the gradient of sum(d * logits)}, for d (N, classes)."""

    def reads(self, layer: str) -> tuple[int, ...]:
        """The positions of the inputs that a layer depends on."""
        return tuple(range(len(self.pictures(1))))

    def read_layer(self, layer: str) -> str | None:
        """The layer whose output another one takes in its first run; None where it takes something else."""
        run = next(run for run in self.layers if layer in (run, run.partition("#")[0]))
        taken = [one for one in self.taken(run) if one in self.layers]
        return taken[0] if len(taken) == 1 else None

    def input_of(self, layer: str, values: Values) -> np.ndarray:
        """What a layer takes in its first run: the output of another, or what the first one takes of the picture."""
        read = self.read_layer(layer)
        return self.taken_by_reader(values["input"]) if read is None else values[read]

    def taken(self, layer: str) -> tuple[str, ...]:
        """The inputs and layers whose very outputs a layer takes; empty where it takes something made of them."""
        return ()

    def taken_by_reader(self, picture: np.ndarray) -> np.ndarray:
        """What the first layer takes of a picture, in the axes of the net; the picture itself where that is it."""
        return picture

    def takes_weights(self, layer: str) -> tuple[tuple[int, ...], ...]:
        """The shapes, without the axis of images, of what a layer takes that is made of weights alone."""
        return ()

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

    def taken(self, layer: str) -> tuple[str, ...]:
        """The layer before, for a map."""
        return (("input", *self.layers)[self.layers.index(layer)],) if layer in self.maps else ()

    def forward(self, *pictures: np.ndarray) -> dict[str, np.ndarray]:
        """Each layer's output."""
        (x,) = pictures
        return self.after("input", x.astype(np.float64))

    def after(self, layer: str, value: np.ndarray, values: Values | None = None) -> dict[str, np.ndarray]:
        """The outputs of this layer, which is given, and of those behind it, which read nothing else."""
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


class GraphNet(Net):
    """A net of `Step`s, which may take the outputs of several others."""

    @abstractmethod
    def graph(self) -> dict[str, Step]:
        """{layer: its step}, in order."""

    def taken(self, layer: str) -> tuple[str, ...]:
        """As the graph has it, for a map."""
        return self.graph()[layer].takes if layer in self.maps else ()

    def forward(self, *pictures: np.ndarray) -> dict[str, np.ndarray]:
        """Each layer's output."""
        names = ("input", "input#2")[: len(pictures)]
        return self._run(dict(zip(names, map(_precise, pictures), strict=True)))

    def after(self, layer: str, value: np.ndarray, values: Values) -> dict[str, np.ndarray]:
        """All outputs where a layer gives (N * R, ...), of whose rows i belongs to image i // R of `values`."""
        later = self.layers[self.layers.index(layer) :]
        each = len(value) // len(values["input"])
        kept = {name: one.repeat(each, axis=0) for name, one in values.items() if name not in later}
        return self._run({**kept, layer: value})

    def _run(self, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        for layer, step in self.graph().items():
            if layer not in values:
                values[layer] = step.forward(*(values[name] for name in step.takes))
        return {**values, "dense": values[self.end]}

    def pull(self, values: Values, d: np.ndarray, rule: str = "plain") -> dict[str, np.ndarray]:
        """Back to all inputs; what several layers take gets the sum of their gradients."""
        gradients: dict[str, np.ndarray] = {name: np.zeros(one.shape) for name, one in values.items()}
        gradients[self.end] = d
        for layer, step in reversed(self.graph().items()):
            pulled = step.back(gradients[layer], rule, *(values[name] for name in step.takes))
            for name, one in zip(step.takes, pulled, strict=True):
                gradients[name] = gradients[name] + one
        return gradients


def _precise(picture: np.ndarray) -> np.ndarray:
    """In double precision; whole numbers stay whole."""
    return picture if picture.dtype.kind == "i" else picture.astype(np.float64)

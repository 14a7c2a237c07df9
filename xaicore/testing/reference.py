"""A backend of the kit's nets in closed form, with all powers: what a plugin's backend is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

import numpy as np

from xaicore.backend import POWERS, Backend, Direction, Layer, check_direction
from xaicore.capture import Attention, Capture, Reduction
from xaicore.errors import InputError, MethodError
from xaicore.facts import AttentionFacts, Facts, InputFacts, LayerFacts
from xaicore.layers import listing, no_run, split_run, unknown_layer
from xaicore.outputs import Parts
from xaicore.testing.nets import Net
from xaicore.testing.token_net import TokenNet

__all__ = ["ReferenceBackend"]

Arrays = dict[str, np.ndarray]

TYPES = {"conv": "Conv", "relu": "ReLU", "pool": "GlobalPool", "dense": "Dense", "patches": "Conv", "shared": "Conv"}
CHANNELS = {"Conv": 1, "Tokens": 2}
KINDS = {"Conv": "convolution", "GlobalPool": "pooling", "Dense": "dense"}


class ReferenceBackend(Backend):
    """Explains a `Net` of the kit itself. A net keeps nothing of a pass, so there is nothing to restore."""

    name = "reference"
    powers = frozenset(POWERS)

    def __init__(self, net: Net) -> None:
        self.net = net

    def layers(self, inputs: Any) -> Sequence[Layer]:
        """Read from the facts."""
        return listing(self.observe(inputs))

    def observe(self, inputs: Any) -> Facts:
        """One pass over the first image, and one pull-back of random directions."""
        pictures = tuple(picture[:1] for picture in self.pictures(inputs))
        values = self.net.forward(*pictures)
        rows = np.random.default_rng(0).normal(size=(1, 1, values["dense"].shape[1]))
        gradients = self.net.backward(values, rows)
        names = dict.fromkeys(name.partition("#")[0] for name in self.net.layers)
        layers = tuple(self.facts_of(name, values, gradients, len(pictures)) for name in names)
        first = layers[0].name
        readers = tuple(
            InputFacts(picture.shape, picture.shape, 1, (True,), (None,), reader=first) for picture in pictures
        )
        outputs: dict[int | str, tuple[int, ...]] = {0: values["dense"].shape}
        return Facts(layers, readers, link=self.net.link, output=0, outputs=outputs)

    def facts_of(self, name: str, values: Mapping[str, np.ndarray], gradients: Arrays, inputs: int) -> LayerFacts:
        """Those of one layer."""
        runs = [run for run in self.net.layers if run.partition("#")[0] == name]
        shape = values[runs[-1]].shape
        kind = TYPES.get(name.rstrip("12"), name.title())
        arrives = np.abs(gradients[runs[-1]][0, 0]) > 0
        axes = range(arrives.ndim)
        return LayerFacts(
            name,
            kind,
            shape,
            KINDS.get(kind),
            channel_axis=CHANNELS.get(kind),
            takes=("tokens",) if name == "mixed" else (),
            pooled=kind == "GlobalPool",
            reads=tuple(range(inputs)),
            reached={axis + 1: arrives.any(axis=tuple(a for a in axes if a != axis)).tolist() for axis in axes},
            runs=len(runs),
            run_reads=tuple((i,) for i in range(inputs)) if len(runs) > 1 else (tuple(range(inputs)),),
        )

    def capture(
        self,
        inputs: Any,
        layers: Sequence[str],
        direction: Direction | None = None,
        *,
        attention: Mapping[str, bool] = MappingProxyType({}),
        rules: Sequence[str] = (),
        parts: bool = False,
        reduce: Mapping[str, Reduction] = MappingProxyType({}),
    ) -> Capture:
        """One pass forward, and one back for each rule."""
        pictures = self.pictures(inputs)
        runs = {name: self.run_of(name) for name in layers}
        values = self.forward(*pictures)
        outputs = as_float(values["dense"])
        all_parts: dict[int | str, np.ndarray] = {0: outputs.copy()} if parts else {}
        pulled: dict[str, Arrays] = {}
        if direction is not None:
            more = (all_parts,) if parts else ()
            rows = check_direction(direction(outputs, "logits", *more), outputs)
            pulled = {rule: self.backward(values, rows, rule) for rule in ("plain", *rules)}
        activations = {name: as_float(values[run]) for name, run in runs.items()}
        gradients = {name: as_float(pulled["plain"][run]) for name, run in runs.items()} if pulled else {}
        return Capture(
            outputs,
            "logits",
            {} if reduce else activations,
            pictures[0].shape[2:],
            {} if reduce else gradients,
            self.net.link,
            {name: self.attended(values, pulled if pull else {}) for name, pull in attention.items()},
            {rule: [as_float(pulled[rule][name]) for name in self.names_of_inputs(pictures)] for rule in rules},
            cast("Parts", all_parts),
            {name: reduction(np, activations[name], gradients[name]) for name, reduction in reduce.items()},
        )

    def forward(self, *pictures: np.ndarray) -> Arrays:
        """All values of a pass."""
        return self.net.forward(*pictures)

    def backward(self, values: Arrays, rows: np.ndarray, rule: str) -> Arrays:
        """All gradients (N, K, ...)."""
        return self.net.backward(values, rows, rule)

    def attended(self, values: Arrays, pulled: Mapping[str, Arrays]) -> Attention:
        """The only attention of the tokens net, with gradients where a pass was pulled back."""
        net = self.token_net()
        found = net.attend(values["tokens"], pulled["plain"]["mixed"] if pulled else None)
        arrays: Any = {name: None if array is None else as_float(array) for name, array in vars(found).items()}
        return Attention(**arrays)

    def attention(self, inputs: Any) -> Sequence[AttentionFacts]:
        """One, in the layer "mixed" of the tokens net."""
        return [AttentionFacts("mixed", (1, 2, 13, 13), reached=True)] if isinstance(self.net, TokenNet) else []

    def token_net(self) -> TokenNet:
        """The net, where it has attention."""
        if not isinstance(self.net, TokenNet):
            raise MethodError(f"the {self.net.name} net has no attention: use a method on a layer, such as 'gradcam'")
        return self.net

    def resume(self, inputs: Any, layer: str, activations: np.ndarray) -> np.ndarray:
        """The rest of a chain does not read the inputs."""
        net: Any = self.net
        return as_float(net.after(self.run_of(layer), activations.astype(np.float64))["dense"])

    def resume_parts(self, inputs: Any, layer: str, activations: np.ndarray) -> tuple[np.ndarray, Parts]:
        """The only part is the output."""
        outputs = self.resume(inputs, layer, activations)
        return outputs, cast("Parts", {0: outputs.copy()})

    def second(self, inputs: Any, layer: str, direction: Direction) -> np.ndarray:
        """By differences of gradients along the activations."""
        net: Any = self.net
        values, run = self.forward(*self.pictures(inputs)), self.run_of(layer)
        outputs = as_float(values["dense"])
        rows, step = check_direction(direction(outputs, "logits"), outputs), 1e-4
        more, less = (net.backward(net.after(run, values[run] * (1 + s)), rows)[run] for s in (step, -step))
        return as_float((more - less) / (2 * step))

    def biases(self, inputs: Any) -> Mapping[str, np.ndarray]:
        """Those of the convolutional net."""
        net: Any = self.net
        values = self.forward(*(picture[:1] for picture in self.pictures(inputs)))
        of_layers = {"conv1": net.bias1, "conv2": net.bias2, "dense": net.bias}
        shapes = {name: values[name].shape for name in of_layers}
        return {
            name: as_float(np.broadcast_to(bias.reshape(1, -1, *[1] * (len(shapes[name]) - 2)), shapes[name]))
            for name, bias in of_layers.items()
            if bias.any()
        }

    def classifier_weights(self, inputs: Any, layer: str) -> np.ndarray:
        """The dense layer's rows, for the map that is pooled."""
        net: Any = self.net
        if self.net.name != "conv" or self.run_of(layer) != "relu2":
            raise MethodError(f"layer {layer!r} does not feed the classifier alone: use method='gradcam'")
        rows: np.ndarray = net.dense
        return rows

    def with_batch_axis(self, inputs: Any) -> Any:
        """A single picture (C, H, W) becomes a batch of one."""
        return inputs[None] if isinstance(inputs, np.ndarray) and inputs.ndim == 3 else inputs

    def pictures(self, inputs: Any) -> tuple[np.ndarray, ...]:
        """The inputs as a tuple of arrays.

        Raises:
            InputError: the net takes others.
        """
        given = tuple(map(np.asarray, inputs if isinstance(inputs, tuple) else (self.with_batch_axis(inputs),)))
        wanted = self.net.pictures(1)
        if [one.shape[1:2] for one in given] != [one.shape[1:2] for one in wanted]:
            expected = ", ".join(f"(N, {', '.join(map(str, one.shape[1:]))})" for one in wanted)
            raise InputError(f"inputs {', '.join(str(one.shape) for one in given)}: the net takes {expected}")
        return given

    def names_of_inputs(self, pictures: Sequence[np.ndarray]) -> tuple[str, ...]:
        """What the net's values call them."""
        return ("input", "input#2")[: len(pictures)]

    def run_of(self, layer: str) -> str:
        """The net's name of a layer's run; of its last run where none is named.

        Raises:
            LayerError: no layer has this name, or it runs less often.
        """
        name, number = split_run(layer)
        runs = [run for run in self.net.layers if run == layer or run.partition("#")[0] == name]
        if not runs:
            raise unknown_layer(layer, [run.partition("#")[0] for run in self.net.layers], type(self.net).__name__)
        if isinstance(number, int) and number > len(runs):
            raise no_run(name, number, len(runs))
        return layer if layer in runs else runs[-1]


def as_float(array: np.ndarray) -> np.ndarray:
    """As float32, in memory of its own."""
    return np.array(array, np.float32)

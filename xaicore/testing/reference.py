"""A backend of the kit's nets in closed form, with all powers: what a plugin's backend is compared with."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

import numpy as np

from xaicore.backend import POWERS, Backend, Direction, Layer, check_direction
from xaicore.capture import Attention, Capture, Reduction
from xaicore.errors import BackendError, MethodError
from xaicore.facts import AttentionFacts, Facts, LayerFacts
from xaicore.layers import listing, no_gradient, no_relu, no_run, split_run, unknown_layer
from xaicore.outputs import Output, Parts, choose_name
from xaicore.recording import arrivals
from xaicore.testing.kinds import CHANNELS, KINDS, TYPES
from xaicore.testing.nets.axial import Along, AxialNet
from xaicore.testing.nets.blocks import BlocksNet
from xaicore.testing.nets.description import described
from xaicore.testing.nets.heads import HeadsNet
from xaicore.testing.nets.net import Net
from xaicore.testing.nets.queries import QueriesNet
from xaicore.testing.nets.sequence import SequenceNet
from xaicore.testing.nets.token import TokenNet
from xaicore.testing.offsets import offsets
from xaicore.testing.places import moves_of_tokens, of_halves, read_by
from xaicore.testing.taken import arrays_for

__all__ = ["ReferenceBackend"]

Arrays = dict[str, np.ndarray]


class ReferenceBackend(Backend):
    """Explains a `Net` of the kit itself. A net keeps nothing of a pass, so there is nothing to restore."""

    name = "reference"
    powers = frozenset(POWERS)

    def __init__(self, net: Net, output: int | str | Output | None = None) -> None:
        self.described = output if isinstance(output, Output) else Output()
        output = output.name if isinstance(output, Output) else output
        if isinstance(net, HeadsNet):
            names: Any = dict.fromkeys(("shape", "colour"))
            heads, net = net, copy.copy(net)
            net.explain(choose_name(names | {"shape": net.shape, "colour": net.colour}, output, heads))
        self.net = net

    def layers(self, inputs: Any) -> Sequence[Layer]:
        """Read from the facts."""
        return listing(self.observe(inputs))

    def observe(self, inputs: Any) -> Facts:
        """One pass over the first image, and one pull-back of random directions."""
        pictures = tuple(picture[:1] for picture in self.pictures(inputs))
        values = self.net.forward(*pictures)
        rows = np.random.default_rng(0).normal(size=(1, 1, *values["dense"].shape[1:]))
        gradients = self.net.backward(values, rows)
        names = dict.fromkeys(name.partition("#")[0] for name in self.net.layers)
        layers = tuple(self.facts_of(name, values, gradients) for name in names)
        first = layers[0].name
        readers = tuple(read_by(self.net, first, picture) for picture in pictures)
        is_sequence = isinstance(self.net, SequenceNet)
        outputs = {name: (8, 1, 4) if is_sequence else values[layer].shape for name, layer in self.ends().items()}
        axes = self.described.axes or ""
        shown = 1 if axes.startswith("n") and "c" in axes else None
        output = self.net.explains or 0
        return Facts(layers, readers, 1, self.net.link, None, output, outputs, 1 + is_sequence, shown_class_axis=shown)

    def ends(self) -> dict[int | str, str]:
        """{name of an output: the layer that makes it}."""
        is_one = not isinstance(self.net, HeadsNet)
        return {0: "dense"} if is_one else {"shape": "shape", "colour": "colour"}

    def facts_of(self, name: str, values: Mapping[str, np.ndarray], gradients: Arrays) -> LayerFacts:
        """Those of one layer."""
        runs = [run for run in self.net.layers if run.partition("#")[0] == name]
        shape = values[runs[-1]].shape
        base = name.rstrip("12")
        kind = "Conv" if base == "dense" and len(shape) == 4 else TYPES.get(base, base.title())
        arrives = arrivals(gradients[runs[-1]][0])
        return LayerFacts(
            name,
            kind,
            shape,
            KINDS.get(kind),
            channel_axis=CHANNELS.get(kind),
            takes=tuple(self.position_or_name(one) for one in self.net.taken(runs[-1])),
            takes_weights=tuple((1, *shape) for shape in self.net.takes_weights(runs[-1])),
            pooled=kind == "GlobalPool",
            reads=tuple(sorted({i for run in runs for i in self.net.reads(run)})),
            reached={axis: at for axis, at in arrives.items() if axis},
            moves=moves_of_tokens(self.net, name, shape[1]),
            **of_halves(self.net, name),
            runs=len(runs),
            run_reads=tuple(self.net.reads(run) for run in runs),
        )

    def position_or_name(self, taken: str) -> int | str:
        """What the facts call an input or a layer."""
        return {"input": 0, "input#2": 1}.get(taken, taken.partition("#")[0])

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
        rule = next((rule for rule in rules if rule != "plain"), None)
        if rule and not any(layer.startswith("relu") for layer in self.net.layers):
            raise no_relu(rule)
        pictures = self.pictures(inputs)
        given = dict(zip(("input", "input#2"), pictures, strict=False))
        runs = {name: self.run_of(name) for name in layers}
        values = self.forward(*pictures)
        outputs = as_float(described(self.net, values, self.described))
        kind = "values" if self.described.is_score else "logits"
        all_parts = self.parts(values) if parts else {}
        pulled: dict[str, Arrays] = {}
        if direction is not None:
            more = (all_parts,) if parts else ()
            rows = check_direction(direction(outputs, kind, *more), outputs)
            rows = self.net.answer_back(values, rows) if self.described.is_score else rows
            pulled = {rule: self.backward(values, rows, rule) for rule in ("plain", *rules)}
            self.check_reach(runs.values())
        activations = {name: as_float(values[run]) for name, run in runs.items()}
        gradients = {name: as_float(pulled["plain"][run]) for name, run in runs.items()} if pulled else {}
        return Capture(
            outputs,
            kind,
            {} if reduce else activations,
            pictures[0].shape[2:],
            {} if reduce else gradients,
            self.net.link,
            {name: self.attended(name, values, pulled if pull else {}) for name, pull in attention.items()},
            {rule: [self.of_input(pulled[rule][name], picture) for name, picture in given.items()] for rule in rules},
            cast("Parts", all_parts),
            {name: reduction(np, activations[name], gradients[name]) for name, reduction in reduce.items()},
        )

    def check_reach(self, runs: Iterable[str]) -> None:
        """Refuse the other output.

        Raises:
            LayerError: it is among these.
        """
        beside = [name for name in runs if name in self.ends().values() and name != self.net.end]
        if beside:
            raise no_gradient(beside[0])

    def parts(self, values: Arrays) -> dict[int | str, np.ndarray]:
        """All outputs of a pass."""
        if self.net.link:
            return {0: as_float(self.net.answer(values))}
        return {name: as_float(values[layer]) for name, layer in self.ends().items()}

    def of_input(self, gradients: np.ndarray, picture: np.ndarray) -> np.ndarray | None:
        """The gradients at an input; whole numbers have none."""
        return None if picture.dtype.kind == "i" else as_float(gradients)

    def forward(self, *pictures: np.ndarray) -> Arrays:
        """All values of a pass."""
        return self.net.forward(*pictures)

    def backward(self, values: Arrays, rows: np.ndarray, rule: str) -> Arrays:
        """All gradients (N, K, ...)."""
        return self.net.backward(values, rows, rule)

    def attended(self, name: str, values: Arrays, pulled: Mapping[str, Arrays]) -> Attention:
        """One attention, with gradients where a pass was pulled back."""
        net, before = self.attentions()[name]
        found = net.attend(values[before], pulled["plain"][name] if pulled else None)
        arrays: Any = {name: None if array is None else as_float(array) for name, array in vars(found).items()}
        return Attention(**arrays)

    def attention(self, inputs: Any) -> Sequence[AttentionFacts]:
        """One in each block."""
        values = self.forward(*(picture[:1] for picture in self.pictures(inputs)))
        return [self.attention_facts(name, self.attended(name, values, {}).weights) for name in self.attentions()]

    def attention_facts(self, name: str, weights: np.ndarray) -> AttentionFacts:
        """Those of one attention."""
        is_causal = weights.shape[-1] > 1 and not np.triu(weights, 1).any()
        return AttentionFacts(name, weights.shape, reached=True, causal=is_causal)

    def attentions(self) -> dict[str, tuple[Along | TokenNet | QueriesNet, str]]:
        """{layer with an attention: the block that it is, and the layer that it reads}."""
        if isinstance(self.net, AxialNet):
            return {"rows": (self.net.along["rows"], "patches"), "columns": (self.net.along["columns"], "rows")}
        if isinstance(self.net, TokenNet):
            return {"mixed": (self.net, "tokens")}
        if isinstance(self.net, QueriesNet):
            return {"read": (self.net, "gated")}
        if isinstance(self.net, BlocksNet):
            read = ("tokens", "mixed1", "mixed2")
            return {f"mixed{n}": (block, read[n - 1]) for n, block in enumerate(self.net.blocks, 1)}
        return {}

    def resume(self, inputs: Any, layer: str, activations: np.ndarray) -> np.ndarray:
        """What the rest of the net reads beside the layer is repeated."""
        return self.resume_parts(inputs, layer, activations)[0]

    def resume_parts(self, inputs: Any, layer: str, activations: np.ndarray) -> tuple[np.ndarray, Parts]:
        """All outputs are parts."""
        net: Any = self.net
        values = self.forward(*self.pictures(inputs))
        run = self.run_of(layer)
        shape = net.forward(*net.pictures(1))[run].shape[1:]
        if activations.shape[1:] != shape or not len(activations) or len(activations) % len(values["dense"]):
            raise BackendError(f"activations {activations.shape} at {layer!r}: expected (N * R, *{shape})")
        values = net.after(run, activations.astype(np.float64), values)
        return as_float(values["dense"]), cast("Parts", self.parts(values))

    def second(self, inputs: Any, layer: str, direction: Direction) -> np.ndarray:
        """By differences of gradients along the activations."""
        net: Any = self.net
        values, run = self.forward(*self.pictures(inputs)), self.run_of(layer)
        self.check_reach([run])
        outputs = as_float(values["dense"])
        rows, step = check_direction(direction(outputs, "logits"), outputs), 1e-4
        more, less = (net.backward(net.after(run, values[run] * (1 + s), values), rows)[run] for s in (step, -step))
        return as_float((more - less) / (2 * step))

    def biases(self, inputs: Any) -> Mapping[str, np.ndarray]:
        """Those of the convolutional net, of the loop and of the residual block."""
        values = self.forward(*(picture[:1] for picture in self.pictures(inputs)))
        return {
            name: as_float(np.broadcast_to(bias.reshape(1, -1, *[1] * (values[name].ndim - 2)), values[name].shape))
            for name, bias in offsets(self.net).items()
            if bias.any()
        }

    def input_of(self, inputs: Any, layer: str) -> np.ndarray:
        """What a layer takes in its first run."""
        return as_float(self.net.input_of(layer, self.forward(*self.pictures(inputs))))

    def in_precision(self, precision: str) -> Any:
        """A net whose weights are rounded."""
        net = copy.deepcopy(self.net)
        for name, value in vars(net).items():
            if isinstance(value, np.ndarray):
                setattr(net, name, value.astype(np.float16 if precision != "float32" else np.float32))
        return net

    def weights_hash(self) -> str | None:
        """Of all arrays."""
        arrays = [value for _, value in sorted(vars(self.net).items()) if isinstance(value, np.ndarray)]
        return hashlib.sha256(b"".join(str(one.shape).encode() + one.tobytes() for one in arrays)).hexdigest()

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
        """The inputs as a tuple of arrays; see `arrays_for`."""
        return arrays_for(self.net, inputs if isinstance(inputs, (Mapping, tuple)) else self.with_batch_axis(inputs))

    def layer_name(self, name: str) -> str:
        """The name itself, of a layer that the net has."""
        self.run_of(name)
        return name

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

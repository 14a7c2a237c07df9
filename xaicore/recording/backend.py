"""A backend in three methods: the facts of a model, a pass of it, and the arrays that it takes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.backend import Backend, Direction, Layer, check_direction
from xaicore.capture import Attention, Capture
from xaicore.errors import BackendError
from xaicore.facts import AttentionFacts, ByShape, Facts
from xaicore.layers import find_run, listing, no_gradient, pull_in_half, split_run
from xaicore.outputs import Parts
from xaicore.recording.arguments import Arguments
from xaicore.recording.arrivals import mixture

__all__ = ["FactsBackend", "Pass"]

NOTHING: Mapping[Any, Any] = MappingProxyType({})
PARTS = ("query", "key", "value", "output")
"""Of an attention, beside its weights, in the order of `Attention`."""
PULLED_PARTS = ("weights", "output")


@dataclass(frozen=True, eq=False)
class Pass:
    """One forward pass, in arrays of the framework.

    Its values have keys: "conv#1" is what the first run of `conv` gave, see `Call.key`. Of an attention called `mix`,
    "mix weights", "mix query", "mix key", "mix value" and "mix output" have the axes of `Attention`.

    Attributes:
        outputs: (N, *O), as the model gives them: their classes lie along `Facts.class_axis`.
        values: {key: array}.
        pull: from a direction (N, K, *O) float32 to {key, or position or name of an argument: gradient (N, K, ...)} of
            those that were asked for. It leaves out those that the outputs are not made of, and whole numbers: a layer
            that is left out is refused by a `LayerError`. Zeros stand for gradients that are zero. None where the
            framework only runs forward. For the power "guided" it is also called with a rule, "guided" or "deconv", as
            its second argument: then the gradients of the arguments count, and those of values may be left out. It
            raises `layers.no_relu` where no ReLU lies between the inputs and the outputs.
        kind: of the outputs; None: probabilities where the model ends in a link, else logits.
        parts: for the power "parts", all outputs as the model gives them, as `outputs.parts_of` returns them.
    """

    outputs: Any
    values: Mapping[str, Any]
    pull: Callable[..., Mapping[Any, Any]] | None = None
    kind: str | None = None
    parts: Mapping[int | str, Any] = field(default_factory=dict)


class FactsBackend(Backend):
    """A backend that reports facts. What is left to write is `survey` and `run`.

    The powers "attention", "input_gradients" and "resume" follow from `run`, "guided" from a `Pass.pull` that takes a
    rule, "parts" and "resume_parts" from `Pass.parts`; a backend still says in `powers` which of them it has. "second",
    "biases" and "reduce" are methods and keywords of its own. Gradients of outputs in float16 are scaled, so that small
    ones are not lost. Where a layer has several names, override `layer_name`: all methods take each of them.
    """

    title: str = "the model"
    """What messages call the model, such as the name of its class."""

    @abstractmethod
    def survey(self, x: Arguments) -> Facts:
        """The facts of one pass over the first image, `x.first()`; of all of them where the model takes no fewer.

        What the model raises in `x.first().model_errors()` says the shapes of all images.
        """

    @abstractmethod
    def run(
        self,
        x: Arguments,
        keys: Collection[str] = (),
        pulls: Collection[int | str] = (),
        given: Mapping[str, np.ndarray] = NOTHING,
    ) -> Pass:
        """One forward pass.

        Args:
            x: what the model is called with.
            keys: the values of layers that are needed. A pass may have more; it has those of every attention.
            pulls: the keys of the values to which a direction is pulled back, and, for the power "input_gradients",
                positions or names of arguments.
            given: {key: what the model goes on with in the place of this value}; asked for by the power "resume".
        """

    def arguments(self, inputs: Any) -> Arguments:
        """What the model is called with; to be overridden where it takes other arrays than the caller's.

        Raises:
            InputError: an argument is no array, or there is no image.
        """
        return Arguments.of(inputs)

    def observe(self, inputs: Any) -> Facts:
        """The facts, kept for inputs of the same shapes."""
        x = self.arguments(inputs)
        return self._facts.kept(x.image_shapes, lambda: self.survey(x))

    def layers(self, inputs: Any) -> Sequence[Layer]:
        """Read from the facts."""
        return listing(self.observe(inputs), self.channels_last)

    def key(self, inputs: Any, layer: str) -> str:
        """The key of the run that a layer's name means: "conv#2" is the second run, and "conv" the last one.

        A name that the facts do not list is what `layer_name` makes of it.

        Raises:
            LayerError: the model has no such layer, or it ran less often.
        """
        facts = self.observe(inputs)
        base, run = split_run(layer)
        listed = base if base in facts.named else self.layer_name(base)
        if listed != base:
            layer = listed if run is None else f"{listed}#{run}"
        name, number = find_run(layer, facts, self.title)
        return f"{name}#{number}"

    def capture(
        self,
        inputs: Any,
        layers: Sequence[str],
        direction: Direction | None = None,
        *,
        attention: Mapping[str, bool] = NOTHING,
        rules: Sequence[str] = (),
        parts: bool = False,
    ) -> Capture:
        """One forward pass, one call of its `pull`, and one more for each rule but "plain"."""
        self._check_asked(direction is not None, rules, parts)
        x, facts = self.arguments(inputs), self.observe(inputs)
        runs = {name: self.key(inputs, name) for name in layers}
        ends = {f"{name} {part}" for name, is_pulled in attention.items() if is_pulled for part in PULLED_PARTS}
        keys = set(runs.values())
        one = self.run(x, keys, {*keys, *ends, *(x if rules else ())} if direction is not None else ())
        missing = [key for key in [*runs.values(), *(f"{name} weights" for name in attention)] if key not in one.values]
        if missing:
            raise self._incomplete(f"no value {missing[0]!r}, but those of {', '.join(one.values) or 'nothing'}")
        rows, kind = self._rows(one, facts), one.kind or ("probabilities" if facts.link else "logits")
        found = self._parts(one) if parts else {}
        pulled: dict[str, Mapping[Any, np.ndarray]] = {}
        if direction is not None:
            wanted = check_direction(direction(rows, kind, *([found] if parts else ())), rows)
            axis = None if rows.ndim < 2 else facts.class_axis
            wanted = wanted if axis is None else np.moveaxis(wanted, 2, axis + 1)
            pulled = {rule: self._pulled(one, wanted, rule) for rule in dict.fromkeys(("plain", *rules))}
        plain = pulled.get("plain", NOTHING)
        unreached = [name for name, key in runs.items() if pulled and key not in plain]
        if unreached:
            raise no_gradient(unreached[0])
        return Capture(
            *(rows, kind, {name: self._host(one.values[key]) for name, key in runs.items()}),
            input_size=x.size(self.channels_last),
            gradients={name: plain[key] for name, key in runs.items()} if pulled else {},
            link=facts.link,
            attention={name: self._attention(name, one.values, plain) for name in attention},
            input_gradients={rule: [pulled.get(rule, NOTHING).get(name) for name in x] for rule in rules},
            parts=found,
        )

    def attention(self, inputs: Any) -> Sequence[AttentionFacts]:
        """Every attention that a pass over the first image shows."""
        if "attention" not in self.powers:
            return super().attention(inputs)
        first = self.arguments(inputs).first()
        weights = {key: self._host(one) for key, one in self.run(first).values.items() if key.endswith(" weights")}
        pulled = self._reached(first, [*weights]) if weights and self.has_gradients else None
        return [
            AttentionFacts(
                key.removesuffix(" weights"),
                one.shape,
                None if pulled is None else key in pulled,
                one.shape[-1] > 1 and not np.triu(one, 1).any(),
            )
            for key, one in weights.items()
        ]

    def resume(self, inputs: Any, layer: str, activations: np.ndarray) -> np.ndarray:
        """A pass in which the layer gives these activations."""
        if "resume" not in self.powers:
            return super().resume(inputs, layer, activations)
        return self._rows(self._resumed(inputs, layer, activations), self.observe(inputs))

    def resume_parts(self, inputs: Any, layer: str, activations: np.ndarray) -> tuple[np.ndarray, Parts]:
        """The same, and all outputs of this pass."""
        if "resume_parts" not in self.powers:
            return super().resume_parts(inputs, layer, activations)
        one = self._resumed(inputs, layer, activations)
        return self._rows(one, self.observe(inputs)), self._parts(one)

    def _reached(self, first: Arguments, keys: Sequence[str]) -> set[str]:
        """Those of these values at which the gradient of the outputs arrives, in a pass over the first image."""
        one = self.run(first, (), keys)
        pulled = self._pulled(one, mixture(self._host(one.outputs).shape)[:, None].astype(np.float32), "plain")
        return {key for key in keys if key in pulled and pulled[key].any()}

    def _check_asked(self, has_direction: bool, rules: Sequence[str], parts: bool) -> None:
        if has_direction and not self.has_gradients:
            self._lacks("gradients", "use a method without them, such as 'eigencam'")
        others = [rule for rule in rules if rule != "plain"]
        if others and "guided" not in self.powers:
            self._lacks(f"the rule {others[0]!r}", "use method='gradient'")
        if parts and "parts" not in self.powers:
            self._lacks("all outputs of a pass", "explain a target that reads one of them")

    def _incomplete(self, came: str) -> BackendError:
        return BackendError(f"backend {self.name or type(self).__name__!r}: its `run` returned a pass with {came}")

    def _resumed(self, inputs: Any, layer: str, activations: np.ndarray) -> Pass:
        x, key = self.arguments(inputs), self.key(inputs, layer)
        if not len(activations) or len(activations) % x.count:
            raise BackendError(
                f"activations {activations.shape} of layer {layer!r} for {x.count} images: expected (N * R, ...), R "
                "rows for each image"
            )
        rows = np.repeat(np.arange(x.count), len(activations) // x.count)
        # An argument of another length, such as one row for all images, stays as it is.
        return self.run(x.map(lambda array: array[rows] if len(array) == x.count else array), given={key: activations})

    def _rows(self, one: Pass, facts: Facts) -> np.ndarray:
        """The outputs with the classes along axis 1."""
        rows, axis = self._host(one.outputs), facts.class_axis
        return rows if axis is None or rows.ndim < 2 else np.moveaxis(rows, axis, 1)

    def _parts(self, one: Pass) -> Parts:
        each: dict[int | str, Any] = {}
        for name, part in one.parts.items():
            each[name] = list(map(self._host, part)) if isinstance(part, list) else self._host(part)
        return each

    def _pulled(self, one: Pass, direction: np.ndarray, rule: str) -> dict[Any, np.ndarray]:
        keys: list[Any] = []
        more = () if rule == "plain" else (rule,)
        back = one.pull
        if back is None:
            raise self._incomplete("no `pull`: set has_gradients = False where the framework only runs forward")

        def pull(rows: np.ndarray) -> list[np.ndarray | None]:
            pulled = back(rows, *more)
            keys[:] = pulled
            return [None if gradient is None else self._host(gradient) for gradient in pulled.values()]

        is_half = self.to_numpy(one.outputs).dtype == np.float16
        gradients = pull_in_half(pull, direction) if is_half else pull(direction)
        return {key: gradient for key, gradient in zip(keys, gradients, strict=True) if gradient is not None}

    def _attention(self, name: str, values: Mapping[str, Any], pulled: Mapping[Any, np.ndarray]) -> Attention:
        keys = [f"{name} {part}" for part in PARTS]
        others = (self._host(values[key]) if key in values else None for key in keys)
        return Attention(
            self._host(values[f"{name} weights"]), *others, *(pulled.get(f"{name} {part}") for part in PULLED_PARTS)
        )

    def _host(self, array: Any) -> np.ndarray:
        return np.array(self.to_numpy(array), np.float32)

    @cached_property
    def _facts(self) -> ByShape[Facts]:
        return ByShape()

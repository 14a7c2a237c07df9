"""A backend of the toy framework that is made of a survey and a pass, as `FactsBackend` has it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from framework import Sound

from xaicore import Facts, layers
from xaicore.recording import Arguments, FactsBackend, Pass
from xaicore.testing.nets.description import described
from xaicore.testing.nets.sequence import SequenceNet

PARTS = ("weights", "query", "key", "value", "output")


class Recorded(FactsBackend, Sound):
    """Facts, weights and precision are those of the sound backend; passes and their powers are the core's."""

    name = "recorded"
    powers = frozenset(
        {"attention", "input_gradients", "guided", "resume", "resume_parts", "second", "biases", "parts"}
    )

    @property
    def title(self) -> str:  # type: ignore[override]  # as the sound backend calls the net
        """The class of the net."""
        return type(self.net).__name__

    def arguments(self, inputs: Any) -> Arguments:
        """Checked by the net."""
        self.pictures(inputs)
        named = isinstance(inputs, Mapping)  # the net has them in the order of their names
        return Arguments.of(dict(sorted(inputs.items())) if named else self.with_batch_axis(inputs))

    def taken(self, x: Arguments) -> tuple[np.ndarray, ...]:
        """What the net computes with."""
        return self.pictures(tuple(x.values()) if len(x) > 1 else next(iter(x.values())))

    def survey(self, x: Arguments) -> Facts:
        return Sound.observe(self, tuple(x.values()) if len(x) > 1 else next(iter(x.values())))

    def run(
        self, x: Arguments, keys: Collection[str] = (), pulls: Collection[Any] = (), given: Mapping[str, Any] = {}
    ) -> Pass:
        pictures, runs = self.taken(x), {self.key_of(run): run for run in self.net.layers}
        with self.hooked(), x.model_errors():
            values = self.forward(*pictures)
            for key, value in given.items():
                if value.shape != values[runs[key]].shape:
                    raise ValueError(f"{value.shape} in the place of {values[runs[key]].shape}")
                net: Any = self.net
                values = {**values, **net.after(runs[key], value.astype(np.float64), values)}
        attended = {name: self.attended(name, values, {}) for name in self.attentions()}
        arrays = {f"{name} {part}": getattr(one, part) for name, one in attended.items() for part in PARTS}

        def pull(rows: np.ndarray, rule: str = "plain") -> dict[Any, Any]:
            """Without the layers that the explained output is not made of."""
            if rule != "plain" and not any(run.startswith("relu") for run in runs.values()):
                raise layers.no_relu(rule, ["tanh"])
            rows = np.moveaxis(rows, axis + 1, 2)
            rows = self.net.answer_back(values, rows) if self.described.is_score else rows
            pulled = self.backward(values, rows, rule)
            others = {*self.ends().values()} - {self.net.end}
            found: dict[Any, Any] = {
                key: pulled[run] for key, run in runs.items() if key in pulls and run not in others
            }
            for position, name in enumerate(x):
                of_input = pulled[("input", "input#2")[position]]
                found |= {name: self.of_input(of_input, pictures[position])} if name in pulls else {}
            for name in self.attentions():
                one = self.attended(name, values, {"plain": pulled})
                found |= {f"{name} weights": one.weights_gradients, f"{name} output": one.output_gradients}
            return found

        outputs = described(self.net, values, self.described)
        axis = min(2 if isinstance(self.net, SequenceNet) else 1, outputs.ndim - 1)
        outputs = np.moveaxis(outputs, min(1, axis), axis)  # as the net answers, but for its images
        kind = "values" if self.described.is_score else "logits"
        return Pass(
            outputs, {**{key: values[run] for key, run in runs.items()}, **arrays}, pull, kind, self.parts(values)
        )

    @staticmethod
    def key_of(run: str) -> str:
        """The key of a run that the net calls "conv1" or "shared#2"."""
        return run if "#" in run else f"{run}#1"

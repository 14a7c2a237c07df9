"""A backend with facts, gradients of inputs, both rules of ReLUs, resume and parts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from stonenet import LAYERS, Net

import xaicore
from xaicore import Backend, Capture, Direction, Facts, InputError, InputFacts, LayerFacts, MethodError, layers

KINDS = {"conv1": "convolution", "conv2": "convolution", "pool": "pooling", "dense": "dense"}


class StonenetBackend(Backend):
    """Explains one net."""

    api_version = 1
    powers = frozenset({"input_gradients", "guided", "resume", "parts"})

    def __init__(self, net: Net) -> None:
        self.net = net

    def layers(self, inputs: Any) -> Sequence[xaicore.Layer]:
        return layers.listing(self.observe(inputs))

    def observe(self, inputs: Any) -> Facts:
        x = self._pictures(inputs)[:1]
        with self._inference():
            values = self._forward(x)
            gradients = self._backward(values, np.random.default_rng(0).normal(size=values["dense"].shape), "plain")
        found = [
            LayerFacts(
                name=name,
                type=name.rstrip("12").title(),
                shape=values[name].shape,
                kind=KINDS.get(name),
                channel_axis=1 if name.startswith("conv") else None,
                takes=(LAYERS[i - 1] if i else 0,),
                pooled=name == "pool",
                reads=(0,),
                reached=along_axes(gradients[name]),
                run_reads=((0,),),
            )
            for i, name in enumerate(LAYERS)
        ]
        shapes: dict[int | str, tuple[int, ...]] = {0: values["dense"].shape}
        readers = (InputFacts(x.shape, x.shape, 1, (True,), (None,), reader="conv1"),)
        return Facts(tuple(found), readers, link=self.net.link, output=0, outputs=shapes, class_axis=1)

    def capture(
        self,
        inputs: Any,
        layers: Sequence[str],
        direction: Direction | None = None,
        *,
        rules: Sequence[str] = (),
        parts: bool = False,
    ) -> Capture:
        x = self._pictures(inputs)
        names = {name: self._known(name) for name in layers}
        with self._inference():
            values = self._forward(x)
            outputs = values["dense"].astype(np.float32)
            given: dict[int | str, np.ndarray] = {0: self.net.head(values["dense"]).astype(np.float32)} if parts else {}
            gradients, of_inputs = {}, {}
            if direction is not None:
                rows = direction(outputs, "logits", given) if parts else direction(outputs, "logits")
                rows = xaicore.check_direction(rows, outputs)
                pulled = self._pulled(values, rows, "plain")
                gradients = {name: pulled[layer] for name, layer in names.items()}
                of_inputs = {rule: [self._pulled(values, rows, rule)["input"]] for rule in rules}
        return Capture(
            outputs=outputs,
            outputs_kind="logits",
            activations={name: values[layer].astype(np.float32) for name, layer in names.items()},
            input_size=x.shape[2:],
            gradients=gradients,
            link=self.net.link,
            input_gradients=of_inputs,
            parts=given,
        )

    def resume(self, inputs: Any, layer: str, activations: np.ndarray) -> np.ndarray:
        self._pictures(inputs)
        value, name = np.asarray(activations, np.float64), self._known(layer)
        with self._inference():
            for later in LAYERS[LAYERS.index(name) + 1 :]:
                value = self.net.step(later, value)
        return value.astype(np.float32)

    def classifier_weights(self, inputs: Any, layer: str) -> np.ndarray:
        if layer != "relu2":
            raise MethodError(f"cam explains 'relu2', which is pooled, not {layer!r}; or use 'gradcam'")
        return self.net.weights["dense"].copy()

    def with_batch_axis(self, inputs: Any) -> Any:
        x = np.asarray(inputs)
        return x[None] if x.ndim == 3 else x

    def _pictures(self, inputs: Any) -> np.ndarray:
        x = inputs["x"] if isinstance(inputs, dict) else inputs[0] if isinstance(inputs, tuple) else inputs
        x = self.with_batch_axis(x)
        if x.ndim != 4 or x.shape[1] != 3 or not len(x) or x.dtype.kind not in "fiu":
            raise InputError(f"inputs of shape {x.shape}: expected numbers (N, 3, height, width)")
        return x

    def _known(self, name: str) -> str:
        base, _, run = name.partition("#")
        if base not in LAYERS:
            raise xaicore.unknown_layer(name, LAYERS, type(self.net).__name__)
        if run not in ("", "1"):
            raise layers.no_run(base, int(run), 1)
        return base

    @contextlib.contextmanager
    def _inference(self) -> Iterator[None]:
        was, self.net.training = self.net.training, False
        self.net.hooks.append(self)
        try:
            yield
        finally:
            self.net.hooks.pop()
            self.net.training = was

    def _forward(self, x: np.ndarray) -> dict[str, np.ndarray]:
        values, value = {"input": x}, x.astype(np.float64)
        for name in LAYERS:
            value = values[name] = self.net.step(name, value)
        return values

    def _backward(self, values: dict[str, np.ndarray], d: np.ndarray, rule: str) -> dict[str, np.ndarray]:
        gradients = {"dense": d}
        for name, before in zip(LAYERS[::-1], [*LAYERS[-2::-1], "input"], strict=True):
            gradients[before] = d = self.net.back(name, d, values[before], rule)
        return gradients

    def _pulled(self, values: dict[str, np.ndarray], rows: np.ndarray, rule: str) -> dict[str, np.ndarray]:
        passes = [self._backward(values, rows[:, k].astype(np.float64), rule) for k in range(rows.shape[1])]
        return {name: np.stack([one[name] for one in passes], axis=1).astype(np.float32) for name in passes[0]}


def along_axes(gradient: np.ndarray) -> dict[int, list[bool]]:
    """{axis: at which indices the gradient is not zero}."""
    axes = range(gradient.ndim)
    return {axis: (gradient != 0).any(axis=tuple(a for a in axes if a != axis)).tolist() for axis in axes}

"""The backend: activations by outputs that are added to the graph, and passes that start at a layer of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnx

import xaicore
from xaicore import layers, outputs
from xaicore.recording import Arguments, FactsBackend, Pass
from xaicore_onnx.engine import Engine
from xaicore_onnx.graph import Graph, attribute
from xaicore_onnx.survey import readers, survey

__all__ = ["OnnxBackend"]


class OnnxBackend(FactsBackend):
    """Explains one ONNX graph, which only runs forward.

    A softmax or sigmoid at its end is left out: `outputs` are then the logits. The model is read, and never changed.

    Args:
        model: the graph with its weights.
        output: which of its outputs is explained, a name or a position.
        providers: of ONNX Runtime.
    """

    has_gradients = False
    powers = frozenset({"resume"})

    def __init__(
        self,
        model: onnx.ModelProto,
        output: int | str | None = None,
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ) -> None:
        self._graph = Graph(model)
        self._engine = Engine(self._graph, providers)
        self._output, self.title = output, model.graph.name or "the graph"
        first = self._graph.inputs[0]
        takers = self._graph.takers(first.name)
        is_turned = bool(takers) and takers[0].op_type == "Transpose" and attribute(takers[0], "perm", [])[:2] == [0, 3]
        self.channels_last = is_turned and len(first.lengths) == 4
        size = first.lengths[1:3] if self.channels_last else first.lengths[2:]
        self.picture_size = size if len(size) == 2 and None not in size else None

    def layer_name(self, name: str) -> str:
        """A layer may also be called by the tensor that it makes, as some viewers show it."""
        layer = next((layer for layer, tensor in self._graph.layers.items() if name in (layer, tensor)), None)
        if layer is None:
            raise xaicore.unknown_layer(name, list(self._graph.layers), self.title)
        return layer

    def arguments(self, inputs: Any) -> Arguments:
        """{input of the graph: its array}, in the type of numbers that the graph takes."""
        x = Arguments.of(self.with_batch_axis(inputs), self.to_numpy).named([one.name for one in self._graph.inputs])
        floats = {one.name: one.dtype for one in self._graph.inputs if one.dtype.kind == "f"}
        return Arguments({name: value.astype(floats.get(name, value.dtype)) for name, value in x.items()})

    def survey(self, x: Arguments) -> xaicore.Facts:
        """What the graph says, and the shapes of one pass over the first image."""
        first = x.first(self._engine.fixed_count or 1)
        values = {**first, **self._engine.run(first, list(self._graph.layers.values()))}
        logits, link, axis = self._end
        shape = values[logits].shape
        is_map = self._graph.made_by[logits].op_type in ("Conv", "ConvTranspose")
        at = axis % len(shape) if axis is not None else 1 if len(shape) == 2 or is_map else None
        is_softmax = at is not None and outputs.are_probabilities(np.moveaxis(values[logits], at, 1))
        return xaicore.Facts(
            tuple(survey(self._graph, values, lambda tensor, changed: self._from(first, tensor, changed))),
            tuple(readers(self._graph, values)),
            count=first.count,
            link=link or ("softmax" if is_softmax else None),
            output=self._output or 0,
            outputs={name: values[name].shape for name in self._graph.outputs if name in values},
            class_axis=at,
        )

    def run(
        self, x: Arguments, keys: Collection[str] = (), pulls: Collection[Any] = (), given: Mapping[str, Any] = {}
    ) -> Pass:
        """A pass of the part of the graph that leads to these values and to the outputs, from what is given on."""
        logits, link, _ = self._end
        tensors = {key: self._graph.layers[str(layers.split_run(key)[0])] for key in (*keys, *given)}
        start = {tensors[key]: value for key, value in given.items()}
        values = self._engine.run({**start, **x}, [logits, *(tensors[key] for key in keys)])
        return Pass(values[logits], {key: values[tensors[key]] for key in keys}, kind="logits" if link else None)

    def classifier_weights(self, inputs: Any, layer: str) -> np.ndarray:
        """The weights of a Gemm, or of a MatMul and the Add behind it."""
        captured = self.capture(inputs, [layer])
        candidates = {}
        for node in self._graph.nodes:
            weight = self._graph.weight(node.input[1]) if node.op_type in ("Gemm", "MatMul") else None
            if weight is None or weight.ndim != 2:
                continue
            adds = [one for one in self._graph.takers(node.output[0]) if one.op_type == "Add"]
            names = node.input[2:] if node.op_type == "Gemm" else [name for one in adds for name in one.input]
            bias = next((one for one in map(self._graph.weight, names) if one is not None), None)
            rows = weight if attribute(node, "transB", 0) else weight.T
            candidates[node.output[0]] = layers.Dense(rows, bias)
        features = captured.activations[layer]
        found = layers.find_classifier(
            *(features, captured.outputs, candidates),
            model=self.title,
            layer=layer,
            instead="method='eigencam', 'scorecam' or 'reciprocam'",
        )
        return candidates[found].weight.astype(np.float32)

    def with_batch_axis(self, inputs: Any) -> Any:
        """A single array that lacks the batch axis gets one: the graph says how many axes it takes."""
        is_single = len(self._graph.inputs) == 1 and hasattr(inputs, "shape")
        return inputs[None] if is_single and len(inputs.shape) + 1 == len(self._graph.inputs[0].lengths) else inputs

    @property
    def _end(self) -> tuple[str, str | None, int | None]:
        names: dict[int | str, Any] = {name: np.empty(()) for name in self._graph.outputs}
        return self._graph.end_of(str(outputs.choose_name(names, self._output, self._graph.model)))

    def _from(self, x: Mapping[str, np.ndarray], tensor: str, activations: np.ndarray) -> np.ndarray:
        """The logits (N * R, ...) from a tensor on."""
        copies = len(activations) // len(next(iter(x.values())))
        others = {name: np.repeat(value, copies, axis=0) for name, value in x.items()}
        logits = self._end[0]
        return self._engine.run({tensor: activations, **others}, [logits])[logits]

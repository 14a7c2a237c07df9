"""The backend: activations by outputs that are added to the graph, and passes that start at a layer of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx

import xaicore
from xaicore import facts, layers, outputs
from xaicore_onnx.engine import Engine
from xaicore_onnx.graph import Graph, attribute
from xaicore_onnx.survey import readers, survey

__all__ = ["OnnxBackend"]


class OnnxBackend(xaicore.Backend):
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
        self._output, self._known = output, facts.ByShape[xaicore.Facts]()
        first = self._graph.inputs[0]
        takers = self._graph.takers(first.name)
        is_turned = bool(takers) and takers[0].op_type == "Transpose" and attribute(takers[0], "perm", [])[:2] == [0, 3]
        self.channels_last = is_turned and len(first.lengths) == 4
        size = first.lengths[1:3] if self.channels_last else first.lengths[2:]
        self.picture_size = size if len(size) == 2 and None not in size else None

    def layers(self, inputs: Any) -> Sequence[xaicore.Layer]:
        """Read from the facts."""
        return layers.listing(self.observe(inputs), self.channels_last)

    def layer_name(self, name: str) -> str:
        """A layer may also be called by the tensor that it makes, as some viewers show it."""
        layer = next((layer for layer, tensor in self._graph.layers.items() if name in (layer, tensor)), None)
        if layer is None:
            raise xaicore.unknown_layer(name, list(self._graph.layers), self._title)
        return layer

    def observe(self, inputs: Any) -> xaicore.Facts:
        """What the graph says, and the shapes of one pass over the first image."""
        x = self._arrays(inputs)
        key = tuple((name, value.shape[1:]) for name, value in x.items())
        if key not in self._known:
            self._known[key] = self._survey(x)
        return self._known[key]

    def capture(
        self, inputs: Any, layers: Sequence[str], direction: xaicore.Direction | None = None
    ) -> xaicore.Capture:
        """One forward pass.

        Raises:
            BackendError: there is a direction.
        """
        if direction is not None:
            raise xaicore.BackendError(
                f"backend {self.name!r} does not offer gradients: ONNX Runtime only runs forward. Use a method without "
                "them, such as 'eigencam', 'scorecam' or 'rise'"
            )
        x, known = self._arrays(inputs), self.observe(inputs)
        tensors = {name: self._graph.layers[self.layer_name(layers_base(name))] for name in layers}
        logits = self._end[0]
        values = self._engine.run(x, [logits, *tensors.values()])
        rows = self._rows(values[logits], known)
        is_softmax = known.link is None and outputs.are_probabilities(rows)
        return xaicore.Capture(
            *(rows, "probabilities" if is_softmax else "logits"),
            {name: np.array(values[tensor], np.float32) for name, tensor in tensors.items()},
            self._size(x),
            link="softmax" if is_softmax else known.link,
        )

    def resume(self, inputs: Any, layer: str, activations: np.ndarray) -> np.ndarray:
        """A pass of the part of the graph behind the layer, and of what else the output depends on."""
        x, known = self._arrays(inputs), self.observe(inputs)
        tensor = self._graph.layers[self.layer_name(layers_base(layer))]
        return self._rows(self._from(x, tensor, activations), known)

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
            model=self._title,
            layer=layer,
            instead="method='eigencam', 'scorecam' or 'reciprocam'",
        )
        return candidates[found].weight.astype(np.float32)

    def with_batch_axis(self, inputs: Any) -> Any:
        """A single array that lacks the batch axis gets one: the graph says how many axes it takes."""
        is_single = len(self._graph.inputs) == 1 and hasattr(inputs, "shape")
        return inputs[None] if is_single and len(inputs.shape) + 1 == len(self._graph.inputs[0].lengths) else inputs

    @property
    def _title(self) -> str:
        return self._graph.model.graph.name or "the graph"

    @property
    def _end(self) -> tuple[str, str | None, int | None]:
        names: dict[int | str, Any] = {name: np.empty(()) for name in self._graph.outputs}
        return self._graph.end_of(str(outputs.choose_name(names, self._output, self._graph.model)))

    def _survey(self, x: Mapping[str, np.ndarray]) -> xaicore.Facts:
        count = self._engine.fixed_count or 1
        first = {name: value[:count] for name, value in x.items()}
        tensors = list(self._graph.layers.values())
        values = first | self._engine.run(first, tensors)
        logits, link, axis = self._end
        shape = values[logits].shape
        maker = self._graph.made_by[logits]
        is_map = maker.op_type in ("Conv", "ConvTranspose")
        at = axis % len(shape) if axis is not None else 1 if len(shape) == 2 or is_map else None
        found = survey(self._graph, values, lambda tensor, changed: self._from(first, tensor, changed))
        seen = readers(self._graph, values)
        all_outputs = {name: values[name].shape for name in self._graph.outputs if name in values}
        return xaicore.Facts(tuple(found), tuple(seen), count, link, None, self._output or 0, all_outputs, at)

    def _from(self, x: Mapping[str, np.ndarray], tensor: str, activations: np.ndarray) -> np.ndarray:
        """The logits (N * R, ...) from a tensor on."""
        copies = len(activations) // len(next(iter(x.values())))
        others = {name: np.repeat(value, copies, axis=0) for name, value in x.items()}
        logits = self._end[0]
        return self._engine.run({tensor: activations, **others}, [logits])[logits]

    def _rows(self, logits: np.ndarray, known: xaicore.Facts) -> np.ndarray:
        """Float32, with the classes along axis 1."""
        rows = np.array(logits, np.float32)
        return rows if known.class_axis is None else np.moveaxis(rows, known.class_axis, 1)

    def _size(self, x: Mapping[str, np.ndarray]) -> tuple[int, ...]:
        shape = max((value.shape for value in x.values()), key=len)
        return shape[1:-1] if self.channels_last else shape[2:]

    def _arrays(self, inputs: Any) -> dict[str, np.ndarray]:
        """{input: its array}, from one array, a tuple or a dict, in the type of numbers that the graph takes.

        Raises:
            InputError: there are more or fewer of them, or one is no array.
        """
        given = self.with_batch_axis(inputs)
        names = [one.name for one in self._graph.inputs]
        if not isinstance(given, Mapping):
            each = given if isinstance(given, tuple) else (given,)
            given = dict(zip(names, each, strict=False)) if len(each) == len(names) else dict(enumerate(each))
        if set(given) != set(names):
            got = ", ".join(map(str, given)) or "nothing"
            raise xaicore.InputError(
                f"the graph takes the inputs {', '.join(names)}, and got {got}: pass one array for each"
            )
        arrays = {name: np.asarray(self.to_numpy(given[name])) for name in names}
        for one in self._graph.inputs:
            if not arrays[one.name].ndim or not len(arrays[one.name]):
                raise xaicore.InputError(f"{one.name!r} has shape {arrays[one.name].shape}: expected (N, ...), N > 0")
            if one.dtype.kind == "f":
                arrays[one.name] = arrays[one.name].astype(one.dtype)
        return arrays


def layers_base(name: str) -> str:
    """A node runs once: "conv#1" is "conv"."""
    base, run = layers.split_run(name)
    return base if run in (None, 1) else name

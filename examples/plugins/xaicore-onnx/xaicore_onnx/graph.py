"""What a graph says without running: its layers, what each reads, and where its answer ends in a softmax."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

__all__ = ["Graph", "Input", "attribute"]

SAME = ("Identity", "Cast", "Dropout")
"""Operations that pass values on."""
LINKS = {"Softmax": "softmax", "Sigmoid": "sigmoid"}


@dataclass(frozen=True)
class Input:
    """An input of a graph: its type, and its lengths, None where a length is left open."""

    name: str
    dtype: np.dtype
    lengths: tuple[int | None, ...]


class Graph:
    """A model's graph. A layer is a node whose output depends on an input; it is called by the node's name.

    Args:
        model: is not changed.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes = list(model.graph.node)
        self.weights = {weight.name: weight for weight in model.graph.initializer}
        self.made_by = {tensor: node for node in self.nodes for tensor in node.output if tensor}
        self.inputs = [_input(one) for one in model.graph.input if one.name not in self.weights]
        self.outputs = [one.name for one in model.graph.output]

    @cached_property
    def reads(self) -> dict[str, tuple[int, ...]]:
        """{tensor: the positions of the inputs that it depends on}."""
        found = {one.name: (i,) for i, one in enumerate(self.inputs)}
        for node in self.nodes:
            of_node = tuple(sorted({i for name in _taken(node) for i in found.get(name, ())}))
            found |= dict.fromkeys(filter(None, node.output), of_node)
        return found

    @cached_property
    def layers(self) -> dict[str, str]:
        """{layer: the tensor that it makes}, in the order of the graph; the tensor names a node without a name."""
        count = Counter(node.name for node in self.nodes)
        found = {}
        for node in self.nodes:
            tensors = [tensor for tensor in node.output if tensor and self.reads[tensor]]
            is_named = node.name and count[node.name] == 1 and len(tensors) == 1
            found |= {node.name if is_named else tensor: tensor for tensor in tensors}
        return found

    def end_of(self, output: str) -> tuple[str, str | None, int | None]:
        """(the tensor with the logits, "softmax" or "sigmoid" behind it, the softmax's axis)."""
        tensor = output
        while tensor in self.made_by and self.made_by[tensor].op_type in SAME:
            tensor = self.made_by[tensor].input[0]
        node = self.made_by.get(tensor)
        if node is None or node.op_type not in LINKS:
            return output, None, None
        opset = next((one.version for one in self.model.opset_import if one.domain in ("", "ai.onnx")), 13)
        axis = attribute(node, "axis", -1 if opset >= 13 else 1) if node.op_type == "Softmax" else None
        return node.input[0], LINKS[node.op_type], axis

    def weight(self, name: str) -> np.ndarray | None:
        """The values of a weight; None for any other tensor."""
        return numpy_helper.to_array(self.weights[name]) if name in self.weights else None

    def takers(self, tensor: str) -> list[onnx.NodeProto]:
        """The nodes that take a tensor."""
        return [node for node in self.nodes if tensor in node.input]


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """An attribute of a node, or its default."""
    return next((onnx.helper.get_attribute_value(one) for one in node.attribute if one.name == name), default)


def _taken(node: onnx.NodeProto) -> Iterator[str]:
    """What a node takes, also inside of its branches and loops."""
    yield from node.input
    for one in node.attribute:
        for graph in (one.g, *one.graphs):
            for inner in graph.node:
                yield from _taken(inner)


def _input(one: onnx.ValueInfoProto) -> Input:
    kind = one.type.tensor_type
    lengths: Sequence[Any] = kind.shape.dim
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    return Input(one.name, dtype, tuple(dim.dim_value if dim.dim_value > 0 else None for dim in lengths))

"""The facts of a graph: what it says, the shapes of one pass, and on which tokens its answer depends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import onnx

from xaicore import InputFacts, LayerFacts, layers
from xaicore_onnx.graph import Graph, attribute

__all__ = ["survey"]

Resume = Callable[[str, np.ndarray], np.ndarray]
"""(tensor, its values (R, ...) for one image) to the outputs (R, ...)."""

CONVOLUTIONS = ("Conv", "ConvTranspose", "ConvInteger", "QLinearConv")
NORMS = ("BatchNormalization", "InstanceNormalization", "GroupNormalization")
KINDS = {
    **dict.fromkeys(CONVOLUTIONS, "convolution"),
    **dict.fromkeys((*NORMS, "LayerNormalization", "RMSNormalization"), "norm"),
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool"), "pooling"),
    "Gemm": "dense",
    "Attention": "attention",
}
SAME = 1e-6
"""Up to this part of the largest output, what changed is rounding."""


def survey(graph: Graph, values: Mapping[str, np.ndarray], resume: Resume) -> list[LayerFacts]:
    """The layers, from the values of all tensors for one image, or for as many as the graph takes at once."""
    kinds = {tensor: _kind(graph, tensor) for tensor in graph.layers.values()}
    reached = dict(_reached(values, kinds, resume))
    names = {tensor: name for name, tensor in graph.layers.items()} | {
        one.name: i for i, one in enumerate(graph.inputs)
    }
    found = []
    for name, tensor in graph.layers.items():
        node, value = graph.made_by[tensor], values.get(tensor)
        if value is None or not value.ndim:
            continue
        weights = [graph.weight(taken) for taken in node.input]
        facts = LayerFacts(
            *(name, node.op_type, value.shape, kinds[tensor]),
            channel_axis=_channel_axis(node, value.ndim),
            vectors=tuple(len(one) for one in weights if one is not None and one.ndim == 1),
            takes=tuple(names[taken] for taken in node.input if taken in names),
            is_float=value.dtype.kind == "f",
            pooled=kinds[tensor] == "pooling" or node.op_type == "ReduceMean",
            reads=graph.reads[tensor],
            reached=reached.get(tensor),
            run_reads=(graph.reads[tensor],),
        )
        found.append(facts)
    return found


def readers(graph: Graph, values: Mapping[str, np.ndarray]) -> list[InputFacts]:
    """The inputs, with the convolution that reads each, also behind a transposition."""
    found = []
    names = {tensor: name for name, tensor in graph.layers.items()}
    for one in graph.inputs:
        taken, axes = one.name, list(range(values[one.name].ndim))
        shape = values[taken].shape
        while True:
            nodes = graph.takers(taken)
            if not nodes or nodes[0].op_type != "Transpose":
                break
            order = attribute(nodes[0], "perm", list(range(len(axes)))[::-1])
            taken, axes = nodes[0].output[0], [axes[i] for i in order]
        if not any(node.op_type in CONVOLUTIONS for node in nodes):
            found.append(InputFacts(shape))
        elif taken == one.name:
            found.append(InputFacts(shape, shape, 1, (True,)))
        else:
            back = [axes.index(i) for i in range(len(axes))]
            moves = layers.find_moves(values[taken].shape, range(2, len(axes)), lambda w, back=back: w.transpose(back))
            found.append(InputFacts(shape, values[taken].shape, 1, (False,), (moves,), reader_source=names[taken]))
    return found


def _kind(graph: Graph, tensor: str) -> str | None:
    """A product of tokens with a matrix of weights is a dense layer, and so is the sum with its bias."""
    node = graph.made_by[tensor]
    sizes = [graph.weights[name].dims for name in node.input if name in graph.weights]
    if node.op_type == "MatMul":
        return "dense" if any(len(size) == 2 for size in sizes) else None
    if node.op_type == "Add" and any(len(size) == 1 for size in sizes):
        before = [name for name in node.input if name in graph.made_by]
        return "dense" if before and _kind(graph, before[0]) == "dense" else None
    return KINDS.get(node.op_type)


def _channel_axis(node: onnx.NodeProto, ndim: int) -> int | None:
    """ONNX has the channels of convolutions and batch norms on axis 1."""
    if node.op_type in CONVOLUTIONS + NORMS:
        return 1
    is_last = node.op_type in ("LayerNormalization", "RMSNormalization") and attribute(node, "axis", -1) in (
        -1,
        ndim - 1,
    )
    return ndim - 1 if is_last else None


def _reached(
    values: Mapping[str, np.ndarray], kinds: Mapping[str, str | None], resume: Resume
) -> Iterator[tuple[str, dict[int, list[bool]]]]:
    """{tensor: on which tokens the output depends} of tensors (1, T, C), from the end to the one that is explained.

    Without gradients, each token is changed by itself, all in one pass from the tensor on. What lies before a tensor
    all of whose tokens count is left open; but projections inside of a block are not explained.
    """
    rng = np.random.default_rng(0)
    for tensor, value in reversed(values.items()):
        if value.ndim != 3 or len(value) != 1 or value.shape[1] < 2 or value.dtype.kind != "f":
            continue
        changed = np.repeat(value, value.shape[1] + 1, axis=0)  # the last row stays
        tokens = np.arange(value.shape[1])
        changed[tokens, tokens] += rng.normal(size=value.shape[1:]).astype(value.dtype) * (value.std() + 1e-3)
        rows = resume(tensor, changed).reshape(len(changed), -1)
        counts = np.abs(rows[:-1] - rows[-1]).max(axis=1) > SAME * np.abs(rows).max()
        yield tensor, {1: counts.tolist()} if counts.any() else {}
        if counts.all() and kinds.get(tensor) != "dense":
            return

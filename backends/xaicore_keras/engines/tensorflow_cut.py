"""Cutting TensorFlow's graphs: which tensors lie at a cut, and the part between two cuts as a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from xaicore_keras.private import is_captured, only_nodes

__all__ = ["concrete", "cut_out", "kept"]

# Operations that the second step repeats, since that costs less than to pass their results on.
_REPEATED = {"Const", "ReadVariableOp"}
_LOOPS = {"While", "StatelessWhile"}


def kept(gradients: Sequence[Any], forward_ops: set[Any]) -> list[Any]:
    """The tensors of the forward pass that these gradients read, without weights and constants."""
    found: dict[Any, Any] = {}
    seen: set[Any] = set()
    pending = list(gradients)
    while pending:
        tensor = pending.pop()
        if tensor.ref() in seen:
            continue
        seen.add(tensor.ref())
        if tensor.op not in forward_ops:
            pending.extend(tensor.op.inputs)
        elif not _is_repeated(tensor.op) and not is_captured(tensor):
            # Of a loop all outputs, since TensorFlow also lifts some of what lies before another loop.
            outputs = tensor.op.outputs if tensor.op.type in _LOOPS else [tensor]
            found.update((output.ref(), output) for output in outputs)
    return list(found.values())


def _is_repeated(op: Any) -> bool:
    """Whether it reads a constant or weight, also one that mixed precision casts to another type."""
    return op.type in _REPEATED or (op.type in ("Cast", "Identity") and _is_repeated(op.inputs[0].op))


def cut_out(feeds: Sequence[Any], fetches: Sequence[Any]) -> Any:
    """The part of a graph between some of its tensors, as a compiled function; it holds no variables."""
    graph = fetches[0].graph
    names, taken = _between(feeds, fetches)
    part = only_nodes(graph.as_graph_def(), names)
    captured = [(outside, inside) for outside, inside in graph.captures if inside.name in taken]

    def imported(*tensors: Any) -> list[Any]:
        given = {feed.name: tensor for feed, tensor in zip(feeds, tensors, strict=True) if feed.name in taken}
        given |= {inside.name: tf.compat.v1.get_default_graph().capture(outside) for outside, inside in captured}
        return tf.graph_util.import_graph_def(part, given, [fetch.name for fetch in fetches], name="")

    return concrete(imported, [tf.TensorSpec(t.shape, t.dtype) for t in feeds])


def _between(feeds: Sequence[Any], fetches: Sequence[Any]) -> tuple[set[str], set[str]]:
    """The names of the operations that lead from feeds and captured tensors to fetches, and of those that they read."""
    fed = {feed.ref() for feed in feeds}
    names: set[str] = set()
    taken: set[str] = set()
    pending = [fetch.op for fetch in fetches]
    while pending:
        op = pending.pop()
        if op.name in names:
            continue
        names.add(op.name)
        pending += op.control_inputs
        for tensor in op.inputs:
            if tensor.ref() in fed or is_captured(tensor):
                taken.add(tensor.name)
            else:
                pending.append(tensor.op)
    return names, taken


def concrete(function: Callable[..., Any], signature: Sequence[tf.TensorSpec]) -> Any:
    """A function, traced."""
    return tf.function(function, input_signature=signature, autograph=False).get_concrete_function()

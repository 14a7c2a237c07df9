"""Private names of Keras, TensorFlow and JAX, which no other module of this package uses.

The comment above each function has its private names, and the first and the last version of Keras in which
tests/keras/test_keras_private.py has found them, of 3.8.0, 3.9.2, 3.10.0, 3.11.3, 3.12.0, 3.13.0, 3.14.0 and 3.15.1.
That test fails with this module's name when one is gone.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import keras

__all__ = [
    "all_layers",
    "attributes_of_keras",
    "call_of_keras",
    "child_layers",
    "detached_copy",
    "functional_of",
    "graph_function",
    "is_captured",
    "is_relu",
    "is_shut",
    "only_nodes",
    "only_runs_a_graph",
    "replaced_functions",
    "run_graph",
    "tracer_scope",
    "unnoticed_calls",
]


# _flatten_layers: 3.8.0 to 3.15.1. `layers` is public on models only, and misses those in lists and dictionaries.
def child_layers(layer: keras.Layer) -> list[keras.Layer]:
    """The layers one level inside of a layer, also those in its lists and dictionaries."""
    return layer._flatten_layers(include_self=False, recursive=False)


def all_layers(layer: keras.Layer) -> list[keras.Layer]:
    """A layer and all layers inside of it, from the outside in."""
    return layer._flatten_layers()


# _functional: 3.8.0 to 3.15.1.
def functional_of(model: Any) -> Any:
    """The functional model that a Sequential built of its layers; None before that, and for any other model."""
    return getattr(model, "_functional", None)


# keras.src.*, where Keras' own `call` methods are defined: 3.8.0 to 3.15.1.
_GRAPH_MODULES = ("keras.src.models.functional", "keras.src.models.sequential", "keras.src.ops.function")


def call_of_keras(layer: Any) -> bool:
    """Whether a layer's `call` is Keras' own code, not a user's."""
    return type(layer).call.__module__.startswith("keras.")


def only_runs_a_graph(layer: Any) -> bool:
    """Whether a layer's call runs a functional graph and nothing else; true for subclasses that keep Keras' `call`."""
    unbuilt = isinstance(layer, keras.Sequential) and functional_of(layer) is None
    return type(layer).call.__module__ in _GRAPH_MODULES and not unbuilt


# _run_through_graph: 3.8.0 to 3.15.1. `clone_model` copies models whole, with their head and without weights.
def run_graph(graph: Any, tensors: Sequence[Any], call: Callable[..., Any]) -> Any:
    """The outputs of a graph whose nodes are computed by `call(operation, *args, **kwargs)`."""
    return graph._run_through_graph(tensors, operation_fn=lambda operation: operation, call_fn=call)


# _inbound_nodes, _outbound_nodes: 3.8.0 to 3.15.1. Operations of `keras.ops` need not have a config to copy from.
def detached_copy(operation: keras.Operation, name: str) -> keras.Operation:
    """A shallow copy of an operation, outside of every graph."""
    copy = object.__new__(type(operation))
    vars(copy).update(vars(operation), name=name, _inbound_nodes=[], _outbound_nodes=[])
    return copy


# _losses, _loss_ids, _called: 3.8.0 to 3.15.1. _remat_mode: 3.9.2 to 3.15.1; 3.8.0 has no rematerialisation.
@contextlib.contextmanager
def unnoticed_calls(layers: Sequence[keras.Layer], operations: Sequence[keras.Operation]) -> Iterator[None]:
    """Restore what calls record on layers: losses of `add_loss`, which the next call clears, and that they ran.

    Meanwhile `keras.RematScope` is off for all operations: it would shut their tensors into graphs of their own.
    """
    losses = [(layer, list(layer._losses), set(layer._loss_ids)) for layer in layers if layer._losses]
    uncalled = [layer for layer in layers if not layer._called]
    modes = [(vars(op), vars(op)["_remat_mode"]) for op in operations if vars(op).get("_remat_mode")]
    try:
        for attributes, _ in modes:
            attributes["_remat_mode"] = None
        yield
    finally:
        for attributes, mode in modes:
            attributes["_remat_mode"] = mode
        for layer in uncalled:
            vars(layer)["_called"] = False
        for layer, values, ids in losses:
            layer._losses[:] = values
            layer._loss_ids.update(ids)


# Names that a new model lacks. The private ones: 3.8.0 to 3.15.1, but _compiled_trainable_state in 3.15.1 alone, and
# those that end in _shardings, on JAX, 3.8.0 to 3.11.3.
_SET_BY_TRAINING = (
    *("stop_training", "stop_evaluating", "stop_predicting", "history", "optimizer", "jit_compile", "run_eagerly"),
    *("_eval_epoch_iterator", "_jax_state", "_jax_state_synced", "_compile_config", "_compiled_trainable_state"),
    *("_trainable_variable_shardings", "_non_trainable_variable_shardings"),
    *("_optimizer_variable_shardings", "_metrics_variable_shardings"),
)


@functools.cache
def attributes_of_keras() -> frozenset[str]:
    """Names of the attributes that Keras itself sets on a model, also in `compile`, `fit`, `evaluate` and `predict`."""
    return frozenset({*vars(keras.Model(name="plain")), *_SET_BY_TRAINING})


# keras.src.backend: 3.8.0 to 3.15.1. Whatever computes with Keras ends there: `keras.ops`, layers, activations.
@contextlib.contextmanager
def replaced_functions(functions: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """Replace functions of the running backend, in this thread only.

    Args:
        functions: {"nn.softmax": function}, each called with the original and what the original would be called with.
    """
    backend, me = importlib.import_module("keras.src.backend"), threading.get_ident()
    with contextlib.ExitStack() as stack:
        for path, function in functions.items():
            part, name = path.split(".")
            module = getattr(backend, part)
            original = getattr(module, name)

            def replaced(*args: Any, _original: Any = original, _function: Any = function, **kwargs: Any) -> Any:
                is_mine = threading.get_ident() == me
                return _function(_original, *args, **kwargs) if is_mine else _original(*args, **kwargs)

            stack.callback(setattr, module, name, original)
            setattr(module, name, functools.wraps(original)(replaced))
        yield


# wrap_function: TensorFlow 2.21. `tf.function` also runs what only has effects.
def graph_function(body: Callable[..., Any], specs: Sequence[Any]) -> Callable[..., Any]:
    """A TensorFlow graph, built by calling `body` with a placeholder per spec, as a function of what these stand for.

    It computes what `body` returned, and nothing that only has effects.
    """
    import tensorflow as tf

    return tf.compat.v1.wrap_function(body, list(specs))


# _class, an attribute of TensorFlow's nodes: 2.21. It names operations to be placed beside, which may be left out.
def only_nodes(graph: Any, names: Collection[str]) -> Any:
    """A GraphDef with no other nodes than these; changed in place."""
    nodes = [node for node in graph.node if node.name in names]
    del graph.node[:]
    graph.node.extend(nodes)
    for node in graph.node:
        node.attr.pop("_class", None)
    return graph


# FuncGraph.internal_captures: TensorFlow 2.21.
def is_captured(tensor: Any) -> bool:
    """Whether a tensor of a TensorFlow graph stands for one from outside of it, such as a variable's handle."""
    return any(tensor is captured for captured in tensor.graph.internal_captures)


# Tracer._trace: JAX 0.10.
def tracer_scope(tensor: Any) -> Any:
    """The JAX transformation that traces a value; values inside and outside of a loop have different ones."""
    return getattr(tensor, "_trace", None)


# Names of autograd's nodes, and _saved_min_val: torch 2.13.
_SHUT = ("DifferentiableGraphBackward", "CompiledFunctionBackward", "CheckpointFunctionBackward")


def is_relu(node: Any) -> bool:
    """Whether a node of PyTorch's graph differentiates a ReLU, with or without a cap."""
    return node.name() == "ReluBackward0" or (node.name() == "HardtanhBackward0" and node._saved_min_val == 0)


def is_shut(node: Any) -> bool:
    """Whether a node of PyTorch's graph stands for operations that it does not show: scripted, compiled, recomputed."""
    return node.name().endswith(_SHUT)

"""A functional model's graph: its calls on symbolic tensors, and how to run it with other layers in their place.

Nothing here computes values.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from xaicore import BackendError
from xaicore_keras.calls import Call, tensors_in
from xaicore_keras.private import functional_of, only_runs_a_graph, run_graph

__all__ = ["find_graph", "graph_calls", "walk_graph"]


def find_graph(model: Any) -> Any:
    """The functional model that a model is, or that a Sequential has made of itself.

    Raises:
        BackendError: the model is no `keras.Model`, is subclassed, or has no input shape yet.
    """
    if not isinstance(model, keras.Model):
        raise BackendError(f"cam_model needs a keras.Model, not a {type(model).__name__}")
    if only_runs_a_graph(model):
        return functional_of(model) or model
    if isinstance(model, keras.Sequential) and type(model).call is keras.Sequential.call:
        raise BackendError(
            f"the Sequential model {model.name!r} has no input shape yet: begin it with keras.Input(shape), or call "
            "it once on a batch"
        )
    raise BackendError(
        f"cam_model needs a functional or Sequential model, and {type(model).__name__} is subclassed: its call() is "
        "code, which cannot be cut. Where that only calls layers and keras.ops, make a functional model of it first: "
        "x = keras.Input(shape); cam_model(keras.Model(x, model.call(x)), ...)"
    )


def graph_calls(graph: Any, layers: Mapping[str, Any]) -> list[Call]:
    """The calls in a graph and in the graphs inside of it, in order of completion."""
    calls: list[Call] = []

    def record(path: str, operation: Any, arguments: Any, answer: Any) -> None:
        calls.append(Call(path, operation, tensors_in(arguments), tensors_in(answer)[0]))

    walk_graph(graph, graph.inputs, layers, lambda path, operation: operation.compute_output_spec, record)
    return calls


def walk_graph(
    graph: Any,
    tensors: Sequence[Any],
    layers: Mapping[str, Any],
    callee: Callable[[str, Any], Callable[..., Any]],
    completed: Callable[[str, Any, Any, Any], None],
) -> Any:
    """Run a graph, and the graphs inside of it, on symbolic tensors.

    Args:
        graph: a functional model.
        tensors: symbolic, one for each of its inputs.
        layers: {path: layer or operation} of the model, as `paths.walk` gives them.
        callee: `callee(path, operation)` is called in place of each operation that is no graph.
        completed: `completed(path, operation, arguments, answer)` is called after each operation and each graph.
    """
    paths = {id(operation): path for path, operation in layers.items()}

    def run(graph: Any, tensors: Sequence[Any], training: bool | None) -> Any:
        """`training` is what the graph was called with; its layers are called with the same."""

        def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
            path = paths[id(operation)]
            if only_runs_a_graph(operation):
                mode = kwargs.get("training") if training is None else training
                answer = run(operation, tensors_in((args, kwargs)), mode)
            else:
                if training is not None and "training" in inspect.signature(operation.call).parameters:
                    kwargs["training"] = training
                answer = callee(path, operation)(*args, **kwargs)
            completed(path, operation, (args, kwargs), answer)
            return answer

        return run_graph(functional_of(graph) or graph, tensors, call)

    return run(graph, tensors, None)

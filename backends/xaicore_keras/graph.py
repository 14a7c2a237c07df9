"""A functional model's graph: what is in it, however deep, and how to run it with other layers in their place.

Nothing here computes: graphs run on symbolic tensors.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NoReturn

import keras

from xaicore import BackendError, Layer, LayerError, unknown_layer
from xaicore_keras.layout import channel_axes, is_pooling

__all__ = ["Look", "copied_operation", "graph_of", "run_graph", "tensors_in", "with_inner"]


@dataclass(frozen=True)
class _Call:
    """One call of a layer or operation: its symbolic inputs and its first output."""

    path: str
    operation: Any
    inputs: Sequence[keras.KerasTensor]
    output: keras.KerasTensor


class Look:
    """The model's calls in order of completion, from shapes alone: nothing is computed, nothing changes.

    Args:
        graph: of the model.
        name: the model's class, for messages.
    """

    def __init__(self, graph: Any, name: str) -> None:
        self._name = name
        self._picture = max(graph.inputs, key=lambda tensor: len(tensor.shape))
        self._calls: list[_Call] = []
        run_graph(graph, graph.inputs, lambda path, operation: operation.compute_output_spec, self._note)
        axes = channel_axes((call.operation, call.inputs, call.output) for call in self._calls)
        self._axes = {id(call.output): axis for call, axis in zip(self._calls, axes, strict=True)}
        self._pooled = _pooled(self._calls)

    @property
    def layers(self) -> list[Layer]:
        """The last run of each layer."""
        last = {call.path: call for call in self._calls}
        order = sorted(last.values(), key=self._calls.index)
        return [self._describe(call) for call in order]

    def runs(self, path: str) -> int:
        """How often a layer runs."""
        return sum(call.path == path for call in self._calls)

    def channel_axis(self, path: str) -> int:
        """Where the map of a layer has its channels.

        Raises:
            LayerError: there is no such layer, or it gives no map.
        """
        call = next((call for call in reversed(self._calls) if call.path == path), None)
        if call is None:
            self._raise_unknown(path)
        if not self._describe(call).spatial:
            raise LayerError(
                f"layer {path!r} gives {call.output.shape}, which is no map of an input {self._picture.shape}: "
                f"expected {len(self._picture.shape) - 2} spatial axes and more than one position. Name a convolution "
                "or a model of them, or no layer to have one found"
            )
        return self._axes[id(call.output)]

    def _note(self, path: str, operation: Any, arguments: Any, answer: Any) -> None:
        self._calls.append(_Call(path, operation, tensors_in(arguments), tensors_in(answer)[0]))

    def _describe(self, call: _Call) -> Layer:
        axis, output, picture = self._axes[id(call.output)], call.output, self._picture
        sizes = tuple(_Unknown() if size is None else size for size in output.shape)
        space = tuple(size for at, size in enumerate(sizes) if at not in (0, axis))
        spatial = (
            len(output.shape) == len(picture.shape) > 2
            and output.shape[0] == picture.shape[0]
            and prod(space) > 1
            and keras.backend.is_float_dtype(output.dtype)
        )
        shape = (1, *sizes[axis : axis + 1], *space)
        return Layer(call.path, type(call.operation).__name__, shape, spatial, id(output) in self._pooled)

    def _raise_unknown(self, path: str) -> NoReturn:
        around = next((call for call in self._calls if path.startswith(f"{call.path}/")), None)
        if around is not None and not _is_graph(around.operation):
            raise LayerError(
                f"layer {path!r} lies inside {around.path!r} ({type(around.operation).__name__}), which is copied as a "
                f"whole: name {around.path!r} or a layer before it"
            )
        raise unknown_layer(path, list(dict.fromkeys(call.path for call in self._calls)), self._name)


class _Unknown(int):
    """A size that only the picture tells; larger than any that matters."""

    def __new__(cls) -> _Unknown:
        return super().__new__(cls, 2**31)

    def __repr__(self) -> str:
        return "None"


_PASSING = (
    keras.layers.Identity,
    keras.layers.Dropout,  # and the spatial ones, which are subclasses
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.ActivityRegularization,
)


def _pooled(calls: Sequence[_Call]) -> set[int]:
    """The ids of outputs that pooling layers made, also where layers that do nothing in inference pass them on."""
    pooled: set[int] = set()
    for call in calls:
        passes = isinstance(call.operation, _PASSING) and id(call.inputs[0]) in pooled
        if is_pooling(call.operation) or passes:
            pooled.add(id(call.output))
    return pooled


def tensors_in(value: Any) -> list[keras.KerasTensor]:
    """The symbolic tensors in arguments or an answer, however deep."""
    return [part for part in keras.tree.flatten(value) if isinstance(part, keras.KerasTensor)]


# From here on: Keras' private names. There is no public way to go through a graph with other layers in the place of
# its own (`clone_model` copies models as they are, nested, with their head, and without weights).

_GRAPHS = ("keras.src.models.functional", "keras.src.models.sequential", "keras.src.ops.function")


def _is_graph(operation: Any) -> bool:
    """Whether it runs a graph and nothing else; a subclass may, if its call is Keras' own."""
    is_empty = isinstance(operation, keras.Sequential) and operation._functional is None
    return type(operation).call.__module__ in _GRAPHS and not is_empty


def graph_of(model: Any) -> Any:
    """The functional model that a model is, or that a Sequential has made of itself."""
    if not isinstance(model, keras.Model):
        raise BackendError(f"cam_model needs a keras.Model, not a {type(model).__name__}")
    if _is_graph(model):
        return getattr(model, "_functional", None) or model
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


def run_graph(
    graph: Any,
    tensors: Sequence[Any],
    call: Callable[[str, Any], Callable[..., Any]],
    note: Callable[[str, Any, Any, Any], None],
    prefix: str = "",
    training: bool | None = None,
) -> Any:
    """Go through a graph, and through the graphs in it, on symbolic tensors.

    `call(path, operation)` is called in the place of each operation; `note(path, operation, arguments, answer)`
    sees each one end, graphs too. `training` is what a graph in a graph was called with.
    """

    def visit(operation: Any, *args: Any, **kwargs: Any) -> Any:
        path = f"{prefix}{operation.name}"
        if _is_graph(operation):
            mode = kwargs.get("training") if training is None else training
            answer = run_graph(operation, tensors_in((args, kwargs)), call, note, f"{path}/", mode)
        else:
            if training is not None and "training" in inspect.signature(operation.call).parameters:
                kwargs["training"] = training
            answer = call(path, operation)(*args, **kwargs)
        note(path, operation, (args, kwargs), answer)
        return answer

    graph = getattr(graph, "_functional", None) or graph
    return graph._run_through_graph(tensors, operation_fn=lambda operation: operation, call_fn=visit)


def copied_operation(operation: Any, name: str) -> Any:
    """An operation without its place in the caller's graph; `keras.ops` ones need not have a config."""
    copy = object.__new__(type(operation))
    vars(copy).update(vars(operation), name=name, _inbound_nodes=[], _outbound_nodes=[])
    return copy


def with_inner(layer: keras.Layer) -> list[keras.Layer]:
    """A layer and all layers inside of it, from the outside in."""
    return layer._flatten_layers()

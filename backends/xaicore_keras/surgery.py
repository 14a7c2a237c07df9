"""A CAM-ready model: a classifier's convolutions, global average pooling and a new dense layer.

Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any

import keras
import numpy as np

from xaicore import BackendError, InputError, LayerError, unknown_layer
from xaicore.layers import choose_pooled, no_map, read
from xaicore_keras.backend import KerasBackend
from xaicore_keras.calls import Call, tensors_in
from xaicore_keras.graph import find_graph, graph_calls, walk_graph
from xaicore_keras.paths import walk
from xaicore_keras.private import all_layers, detached_copy, only_runs_a_graph

__all__ = ["cam_model"]

ANY_LENGTH = 224
"""A length that nets of open input sizes take: five halvings of it are whole."""


def cam_model(
    model: keras.Model,
    classes: int,
    activation: Any = "softmax",
    layer: str | None = None,
    freeze: bool = False,
) -> keras.Model:
    """A copy of a classifier's convolutions with global average pooling and a new dense layer on top.

        outputs = activation(W mean(A) + b),    A: the layer's map, averaged over its positions

    The result is one flat functional model, not compiled: compile it, fit it, and then
    `xaicore.explain(result, x, method="cam")` is the original CAM. The model itself does not change, and shares
    nothing with the result. What a subclass adds to a functional model (a `train_step`) is not taken over.

    Args:
        model: functional or Sequential, with an input shape; models inside of it, however deep, are flattened.
        classes: outputs of the new dense layer.
        activation: of these outputs, anything that `keras.activations.get` takes; "sigmoid" for one output or several
            labels, None for logits.
        layer: the path of the layer to pool, such as `vgg16/block5_conv3`; None for the last map of the picture that
            no pooling layer made. What follows it, the old head, is not copied.
        freeze: train the dense layer alone. Without it, every weight is as trainable as in the model.

    Raises:
        InputError: `classes` is no positive integer, or `activation` is unknown or no use for one class.
        LayerError: the layer does not exist, lies inside one that is copied as a whole, or gives no map.
        BackendError: the model is subclassed or has no input shape yet, or one of its layers cannot be copied.
    """
    _check_head(classes, activation)
    graph, layers = find_graph(model), walk(model)
    calls = graph_calls(graph, layers)
    backend = KerasBackend(model, 0 if len(graph.outputs) > 1 else None)
    facts = backend.observe(_picture(graph))
    reading = read(facts, backend.channels_last)
    path = layer or choose_pooled(facts.layers, reading.grids, reading.main_pictures, reading.states)
    last = _last_call(calls, path, type(model).__name__)
    grid = reading.grids.get(path)
    if grid is None or not set(grid.axes).isdisjoint("lr"):
        size = reading.frames[reading.main_pictures[0]].size if reading.frames else ()
        known = facts.named
        raise no_map(path, known[path].shape if path in known else last.shape, size)
    copies = _Copies()
    inputs = keras.tree.map_structure(copies.input, graph.input)
    maps = _copied_up_to(graph, inputs, layers, copies, path, sum(call.path == path for call in calls))
    # In half precision, means lose digits and a softmax underflows; Keras' guide has its last layer in float32 too.
    dtype = "float64" if maps.dtype == "float64" else "float32"
    pooling = getattr(keras.layers, f"GlobalAveragePooling{len(maps.shape) - 2}D")(
        data_format="channels_first" if grid.axes[1] == "c" else "channels_last",
        dtype=dtype,
        name=copies.unused("cam_pool"),
    )
    dense = keras.layers.Dense(int(classes), activation=activation, dtype=dtype, name=copies.unused("cam_dense"))
    result = keras.Model(inputs, dense(pooling(maps)), name=f"{model.name}_cam")
    for copy in result.layers if freeze else ():
        copy.trainable = copy is dense
    return result


def _picture(graph: Any) -> Any:
    """Inputs of one image. Lengths that the graph leaves open are `ANY_LENGTH`."""
    rng = np.random.default_rng(0)

    def made(tensor: keras.KerasTensor) -> np.ndarray:
        values = rng.random((1, *(length or ANY_LENGTH for length in tensor.shape[1:])))
        return values.astype(keras.backend.standardize_dtype(tensor.dtype))

    return keras.tree.map_structure(made, graph.input)


def _check_head(classes: int, activation: Any) -> None:
    if not isinstance(classes, Integral) or isinstance(classes, bool) or classes < 1:
        raise InputError(f"classes={classes!r}: expected a whole number, 1 or more")
    try:
        function = keras.activations.get(activation)
    except (ValueError, TypeError) as exc:
        raise InputError(
            f"activation={activation!r} is unknown to Keras; expected 'softmax', 'sigmoid', None (logits), "
            "another name or a function"
        ) from exc
    softmaxes = (keras.activations.softmax, keras.activations.log_softmax)
    if classes == 1 and (function in softmaxes or isinstance(function, keras.layers.Softmax)):
        raise InputError("a softmax over one class is always 1: use activation='sigmoid', or None for logits")


def _last_call(calls: Sequence[Call], path: str, model: str) -> Call:
    """The last call of a layer.

    Raises:
        LayerError: the graph calls no layer of this path.
    """
    call = next((call for call in reversed(calls) if call.path == path), None)
    if call is not None:
        return call
    around = next((call for call in calls if path.startswith(f"{call.path}/")), None)
    if around is not None and not only_runs_a_graph(around.layer):
        raise LayerError(
            f"layer {path!r} lies inside {around.path!r} ({type(around.layer).__name__}), which is copied as a whole: "
            f"name {around.path!r} or a layer before it"
        )
    raise unknown_layer(path, list(dict.fromkeys(call.path for call in calls)), model)


class _Copies:
    """Copies of inputs, layers and operations, each made once, under names that one model can hold."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}
        self._names: set[str] = set()

    def input(self, tensor: keras.KerasTensor) -> keras.KerasTensor:
        """A new input for batches of any size; a Sequential keeps the size of the batch that built it."""
        return keras.Input(batch_shape=(None, *tensor.shape[1:]), dtype=tensor.dtype, name=self.unused(tensor.name))

    def unused(self, path: str) -> str:
        """The last part of a path, or all of it where that name is taken."""
        last, whole = path.rpartition("/")[2], path.replace("/", "_")
        names = itertools.chain((last, whole), (f"{whole}_{number}" for number in itertools.count(2)))
        name = next(name for name in names if name not in self._names)
        self._names.add(name)
        return name

    def call(self, path: str, operation: Any) -> Callable[..., Any]:
        """A function that calls the copy of an operation; for a layer, its first call makes the copy."""
        if id(operation) in self._made:
            return self._made[id(operation)]
        name = self.unused(path)
        if not isinstance(operation, keras.Layer):
            self._made[id(operation)] = detached_copy(operation, name)
            return self._made[id(operation)]

        def copy_and_call(*args: Any, **kwargs: Any) -> Any:
            try:
                copy = _copied_layer(operation, name)
                answer = copy(*args, **kwargs)  # builds it
                _copy_state(copy, operation)
            except Exception as exc:
                raise BackendError(
                    f"layer {path!r} ({type(operation).__name__}) cannot be copied: {type(exc).__name__}: {exc}. Its "
                    "class needs a get_config() from which from_config() makes an equal layer"
                ) from exc
            self._made[id(operation)] = copy
            return answer

        return copy_and_call


def _copied_layer(layer: keras.Layer, name: str) -> keras.Layer:
    config = layer.get_config()
    if "name" in config:
        config["name"] = name
    activation = getattr(layer, "activation", None)
    if "activation" in config and callable(activation) and not isinstance(activation, keras.Layer):
        config["activation"] = activation  # the function itself, since a config loses the caller's own ones
    # The code of a Lambda is safe to load: it is in this process already.
    options = {"safe_mode": False} if isinstance(layer, keras.layers.Lambda) else {}
    classes = {type(inner).__name__: type(inner) for inner in all_layers(layer)}  # they need not be registered
    with keras.saving.custom_object_scope(classes):
        return type(layer).from_config(config, **options)


def _copy_state(copy: keras.Layer, layer: keras.Layer) -> None:
    """Copy the values of weights, and the `trainable` flags of layers and of single variables."""
    if {id(variable) for variable in copy.variables} & {id(variable) for variable in layer.variables}:
        raise ValueError("from_config() reuses the layer's own weights, which two models would then train")
    copy.set_weights(layer.get_weights())
    for new, old in zip(all_layers(copy), all_layers(layer), strict=True):
        if new.trainable != old.trainable:
            new.trainable = old.trainable
        if isinstance(new, keras.layers.Normalization):
            new.finalize_state()  # it computes with tensors that it derives from its weights
    for new, old in zip(copy.weights, layer.weights, strict=True):
        if new.trainable != old.trainable:
            new.trainable = old.trainable


def _copied_up_to(
    graph: Any, inputs: Any, layers: Mapping[str, Any], copies: _Copies, path: str, number: int
) -> keras.KerasTensor:
    """The first output of a layer's copy at this call of it, counted from 1; nothing is copied after that."""
    maps: list[keras.KerasTensor] = []

    def callee(called: str, operation: Any) -> Callable[..., Any]:
        return operation.compute_output_spec if len(maps) == number else copies.call(called, operation)

    def completed(called: str, operation: Any, arguments: Any, answer: Any) -> None:
        if called == path:
            maps.append(tensors_in(answer)[0])

    walk_graph(graph, keras.tree.flatten(inputs), layers, callee, completed)
    return maps[-1]

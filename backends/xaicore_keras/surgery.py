"""A CAM-ready model: a classifier's convolutions, global average pooling and a new dense layer.

Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import keras

from xaicore import BackendError, InputError, default_layer
from xaicore_keras.graph import Look, copied_operation, graph_of, run_graph, tensors_in, with_inner

__all__ = ["cam_model"]


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
    `xaicore.explain(result, x, method="cam")` is the original CAM. The model itself stays as it is, bitwise, and
    shares nothing with the result. What a subclass adds to a functional model (a `train_step`) is not taken over.

    Args:
        model: functional or Sequential, with an input shape; models inside of it, however deep, are flattened.
        classes: outputs of the new dense layer.
        activation: on these, whatever `keras.activations.get` takes; "sigmoid" for one output or several labels,
            None for logits.
        layer: the path of the layer to pool, as `vgg16/block5_conv3`; None: the last map of the picture that no
            pooling layer made. What comes after it, the old head, is not copied.
        freeze: train the dense layer alone. Without it, every weight is as trainable as in the model.

    Raises:
        InputError: `classes` or `activation` make no sense.
        LayerError: the layer does not exist, lies inside of one that is copied as a whole, or gives no map.
        BackendError: the model is subclassed or has no input shape yet, or one of its layers cannot be copied.
    """
    _check_head(classes, activation)
    graph = graph_of(model)
    look = Look(graph, type(model).__name__)
    path = default_layer(look.layers) if layer is None else layer
    axis = look.channel_axis(path)
    copies = _Copies()
    inputs = keras.tree.map_structure(copies.input, graph.input)
    maps = _run_up_to(graph, keras.tree.flatten(inputs), copies, path, look.runs(path))
    if freeze:
        copies.freeze()
    rank = len(maps.shape)
    # In half precision, means lose digits and a softmax underflows; Keras' guide has its last layer in float32 too.
    dtype = "float64" if maps.dtype == "float64" else "float32"
    pooling = getattr(keras.layers, f"GlobalAveragePooling{rank - 2}D")(
        data_format="channels_first" if axis == 1 else "channels_last", dtype=dtype, name=copies.unused("cam_pool")
    )
    dense = keras.layers.Dense(int(classes), activation=activation, dtype=dtype, name=copies.unused("cam_dense"))
    return keras.Model(inputs, dense(pooling(maps)), name=f"{model.name}_cam")


def _check_head(classes: int, activation: Any) -> None:
    if not isinstance(classes, Integral) or isinstance(classes, bool) or classes < 1:
        raise InputError(f"classes={classes!r}: expected a whole number, 1 or more")
    try:
        function = keras.activations.get(activation)
    except (ValueError, TypeError) as exc:
        raise InputError(
            f"activation={activation!r} is none that Keras knows; expected 'softmax', 'sigmoid', None (logits), "
            "another name or a function"
        ) from exc
    over_classes = (keras.activations.softmax, keras.activations.log_softmax)
    if classes == 1 and (function in over_classes or isinstance(function, keras.layers.Softmax)):
        raise InputError("a softmax over one class is always 1: use activation='sigmoid', or None for logits")


class _Copies:
    """Copies of inputs, layers and operations, each made once, under names that one model can hold."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}
        self._names: set[str] = set()

    def input(self, tensor: keras.KerasTensor) -> keras.KerasTensor:
        """A new input; for batches of any size, since a Sequential keeps that of the batch that built it."""
        return keras.Input(batch_shape=(None, *tensor.shape[1:]), dtype=tensor.dtype, name=self.unused(tensor.name))

    def unused(self, path: str) -> str:
        """The last part of a path, or all of it where that name is taken."""
        last, whole = path.rpartition("/")[2], path.replace("/", "_")
        names = itertools.chain((last, whole), (f"{whole}_{number}" for number in itertools.count(2)))
        name = next(name for name in names if name not in self._names)
        self._names.add(name)
        return name

    def call(self, path: str, operation: Any) -> Callable[..., Any]:
        """A function that calls the copy."""
        if id(operation) in self._made:
            return self._made[id(operation)]
        name = self.unused(path)
        if not isinstance(operation, keras.Layer):
            self._made[id(operation)] = copied_operation(operation, name)
            return self._made[id(operation)]

        def first(*args: Any, **kwargs: Any) -> Any:
            try:
                copy = _copied_layer(operation, name)
                answer = copy(*args, **kwargs)  # which builds it
                _take_state(copy, operation)
            except Exception as exc:
                raise BackendError(
                    f"layer {path!r} ({type(operation).__name__}) cannot be copied: {type(exc).__name__}: {exc}. Its "
                    "class needs a get_config() from which from_config() makes an equal layer"
                ) from exc
            self._made[id(operation)] = copy
            return answer

        return first

    def freeze(self) -> None:
        """Nothing of the copies learns."""
        for copy in self._made.values():
            if isinstance(copy, keras.Layer):
                copy.trainable = False


def _copied_layer(layer: keras.Layer, name: str) -> keras.Layer:
    config = layer.get_config()
    if "name" in config:
        config["name"] = name
    activation = getattr(layer, "activation", None)
    if "activation" in config and callable(activation) and not isinstance(activation, keras.Layer):
        config["activation"] = activation  # itself: the caller's own functions do not survive a config
    trusted = {"safe_mode": False} if isinstance(layer, keras.layers.Lambda) else {}  # it is in this process already
    inner = {type(part).__name__: type(part) for part in with_inner(layer)}  # which need not be registered
    with keras.saving.custom_object_scope(inner):
        return type(layer).from_config(config, **trusted)


def _take_state(copy: keras.Layer, layer: keras.Layer) -> None:
    """Weights, and what is trainable of them, down to single variables."""
    if {id(variable) for variable in copy.variables} & {id(variable) for variable in layer.variables}:
        raise ValueError("from_config() hands on the layer's own weights, which two models would then train")
    copy.set_weights(layer.get_weights())
    for new, old in zip(with_inner(copy), with_inner(layer), strict=True):
        if new.trainable != old.trainable:
            new.trainable = old.trainable
        if isinstance(new, keras.layers.Normalization):
            new.finalize_state()  # it computes with what it made of its weights
    for new, old in zip(copy.weights, layer.weights, strict=True):
        if new.trainable != old.trainable:
            new.trainable = old.trainable


def _run_up_to(graph: Any, tensors: Sequence[Any], copies: _Copies, path: str, runs: int) -> keras.KerasTensor:
    """The first output of a layer's copy, at its last run; nothing is copied after that."""
    ended = 0

    def note(ended_path: str, operation: Any, arguments: Any, answer: Any) -> None:
        nonlocal ended
        ended += ended_path == path
        if ended == runs:
            raise _Reached(tensors_in(answer)[0])

    try:
        run_graph(graph, tensors, copies.call, note)
    except _Reached as reached:
        return reached.tensor
    raise AssertionError(f"{path!r} ran less often than when the model was looked at")


class _Reached(Exception):
    """The layer has run."""

    def __init__(self, tensor: keras.KerasTensor) -> None:
        super().__init__()
        self.tensor = tensor

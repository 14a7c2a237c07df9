"""Model and images in, explanations out: the walk of the data on one screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from xaicore import plugins, trees
from xaicore.backend import Backend, Capture
from xaicore.data.labels import as_class_names, as_ids, as_truth
from xaicore.errors import BackendError, InputError, LayerError, MethodError
from xaicore.explanation import Explanation
from xaicore.layers import as_layers, default_layer, no_map
from xaicore.maps import fuse, relu
from xaicore.methods import Method, find_method
from xaicore.outputs import check_activation, is_dense, predicted_classes, probabilities
from xaicore.show.pictures import Pictures
from xaicore.targets import Aim, Classes, Target, as_target, check_aim

__all__ = ["Explainer", "explain"]

MethodLike = str | Callable[..., np.ndarray] | Method


class Explainer:
    """Explains one model again and again; keeps the layer that it found.

    Args:
        model: a model of any framework that a backend plugin accepts.
        method: a name (`xaicore.METHODS`) or a function `f(activations, gradients)`.
        layer: a name, several names (their maps are fused), or None: the last map of the picture that no
            pooling layer made, found on the first call.
        backend: a plugin's name, a `Backend`, or None: chosen by the model's class.
        output: which of several outputs is explained, an index or a name.
        activation: "softmax" or "sigmoid", what turns outputs into probabilities; None: what the model itself
            puts on them, else softmax for several outputs and sigmoid for one. "sigmoid" is multi-label.

    Raises:
        PluginError: no backend for this model.
        MethodError: the method is unknown.
        InputError: the activation is unknown, or there is an `output` for a backend that is already built.
    """

    def __init__(
        self,
        model: Any,
        method: MethodLike = "gradcam",
        layer: str | Sequence[str] | None = None,
        backend: str | Backend | None = None,
        output: int | str | None = None,
        activation: str | None = None,
    ) -> None:
        check_activation(activation)
        self.method = find_method(method)
        self.activation = activation
        self.model_name = f"{type(model).__module__}.{type(model).__qualname__}"
        if isinstance(backend, Backend):
            if output is not None:
                raise InputError(f"output={output!r} with a Backend instance: build the backend for that output")
            plugins.check_instance(backend, "backend", "backend=")
            self.backend = backend
        else:
            self.backend = plugins.installed().backend(model, output, backend)
        self._found = layer is None
        self._layers = as_layers(layer)

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that are explained; empty until the first call where none was named."""
        return self._layers

    def __call__(
        self,
        x: Any,
        targets: Any = None,
        images: Any = None,
        ids: Sequence[Any] | None = None,
        truth: Any = None,
        class_names: Sequence[str] | None = None,
    ) -> Explanation:
        """Explain N images.

        Args:
            x: exactly what the model takes, one image or a batch; a tuple is positional arguments, a dict
                keyword arguments.
            targets: None (the predicted class), a class, one class an image, an (N, K) array, (1, K) for all
                images, or a target from `xaicore.targets`. In a one-output classifier, class 0 is the opposite of
                class 1.
            images: the pictures in the frame that the model sees, (N, H, W, 3) uint8 RGB; made of `x` on
                demand where they are not given.
            ids: N names, unique in a run; "0", "1", ... when None.
            truth: N true classes; -1 where it is not known.
            class_names: a name a class.

        Raises:
            LayerError, TargetError, InputError, BackendError, MethodError: what was passed does not fit; the
                message says what was expected. The model is as before.
        """
        return self._explain(x, [self.method], targets, images, ids, truth, class_names)[0]

    def compare(
        self,
        x: Any,
        methods: Sequence[MethodLike],
        targets: Any = None,
        images: Any = None,
        ids: Sequence[Any] | None = None,
        truth: Any = None,
        class_names: Sequence[str] | None = None,
    ) -> dict[str, Explanation]:
        """Several methods from one capture: {method: Explanation}. Arguments as in a call."""
        if isinstance(methods, str) or not methods:
            raise MethodError(f"methods={methods!r}: expected a list of names or functions")
        found = list(dict.fromkeys(find_method(method) for method in methods))
        names = [method.name for method in found]
        if len(set(names)) < len(names):
            raise MethodError(
                f"methods of one name in {', '.join(names)}: give a function a name of its own with "
                "xaicore.Method(name, function)"
            )
        results = self._explain(x, found, targets, images, ids, truth, class_names)
        return {result.method: result for result in results}

    def _explain(
        self,
        x: Any,
        methods: Sequence[Method],
        wanted: Any,
        images: Any,
        ids: Sequence[Any] | None,
        truth: Any,
        class_names: Sequence[str] | None,
    ) -> list[Explanation]:
        target = as_target(wanted)
        if not self._layers:
            self._layers = (default_layer(self.backend.layers(x)),)
        with_gradients = any(method.needs == "gradients" for method in methods)
        capture, aim = self._capture(x, target, with_gradients)
        count = len(capture.outputs)
        shared = {
            "pictures": Pictures(count, capture.input_size, images, partial(picture_input, type(self.backend), x)),
            "ids": as_ids(ids, count),
            "truth": as_truth(truth, capture.outputs, capture.outputs_kind),
            "class_names": as_class_names(class_names, capture.outputs, capture.outputs_kind),
        }
        return [self._explanation(method, x, capture, aim, str(target), shared) for method in methods]

    def _capture(self, x: Any, target: Target, with_gradients: bool) -> tuple[Capture, Aim]:
        aims: list[Aim] = []

        def direction(outputs: np.ndarray, kind: str) -> np.ndarray:
            if not len(outputs):
                raise InputError(f"the batch is empty: outputs {outputs.shape}; expected one image or more")
            nan = int(np.isnan(outputs).sum())
            if nan:
                raise BackendError(f"the outputs have {nan} NaN values of {outputs.size}; check weights and inputs")
            if is_dense(outputs) and self._found:
                raise LayerError(
                    f"outputs {outputs.shape} are a score a position, where the last map says little; "
                    "name the layer to explain: layer=..."
                )
            aims.append(check_aim(target.aim(outputs, kind), target, outputs))
            return aims[0].direction

        capture = self.backend.capture(x, self._layers, direction if with_gradients else None)
        if not with_gradients:
            direction(capture.outputs, capture.outputs_kind)
        if len(aims) != 1:
            raise BackendError(f"backend {self.backend.name!r} called direction {len(aims)} times; expected one call")
        self._check_layers(capture.activations, "activations")
        if with_gradients:
            self._check_layers(capture.gradients, "gradients")
        return capture, aims[0]

    def _check_layers(self, arrays: Mapping[str, np.ndarray], what: str) -> None:
        missing = [layer for layer in self._layers if layer not in arrays]
        if missing:
            given = ", ".join(arrays) or "no layer"
            raise BackendError(f"backend {self.backend.name!r} gave {what} for {given}, not for {missing[0]!r}")

    def _explanation(
        self,
        method: Method,
        x: Any,
        capture: Capture,
        aim: Aim,
        target: str,
        shared: Mapping[str, Any],
    ) -> Explanation:
        maps = fuse([self._maps(method, x, layer, capture, aim) for layer in self._layers])
        count, k = aim.classes.shape
        classes = aim.classes.reshape(-1)
        index = np.repeat(np.arange(count), k)
        return Explanation(
            maps=maps,
            image_index=index,
            targets=classes,
            scores=_scores(capture, aim, self.activation),
            predicted=predicted_classes(capture.outputs, capture.outputs_kind),
            outputs=capture.outputs,
            outputs_kind=capture.outputs_kind,
            empty=np.logical_not((maps > 0).reshape(len(maps), -1).any(axis=1)),
            input_size=capture.input_size,
            method=method.name,
            layer=" + ".join(self._layers),
            model=self.model_name,
            target=target,
            **shared,
        )

    def _maps(self, method: Method, x: Any, layer: str, capture: Capture, aim: Aim) -> np.ndarray:
        """One method at one layer: (M, *S) float32, finite, >= 0."""
        activations = capture.activations[layer]
        _check_map(layer, activations, capture.input_size)
        second: np.ndarray | None = None
        if method.needs == "gradients":
            second = _finite(capture.gradients[layer], f"the gradients at layer {layer!r}")
        elif method.needs == "weights":
            second = self._rows(x, layer, capture, aim)
        count, k = aim.classes.shape
        maps = np.asarray(method.function(activations, second))
        expected = (count, k, *activations.shape[2:])
        if maps.shape not in (expected, (count, 1, *activations.shape[2:])):
            raise MethodError(f"method {method.name!r} gave maps of shape {maps.shape}; expected {expected}")
        maps = np.broadcast_to(relu(maps), expected).reshape(count * k, *activations.shape[2:])
        return _finite(np.ascontiguousarray(maps, np.float32), f"the maps of method {method.name!r}")

    def _rows(self, x: Any, layer: str, capture: Capture, aim: Aim) -> np.ndarray:
        """The classifier's row of each target, (N, K, C): the direction, taken through the dense layer."""
        if capture.outputs_kind == "probabilities":  # the rows belong to the logits behind them
            aim = Classes(aim.classes).aim(capture.outputs, "logits")
        weights = self.backend.classifier_weights(x, layer)
        direction = aim.direction.reshape(*aim.classes.shape, -1)
        rows: np.ndarray = direction @ weights
        return rows


def explain(
    model: Any,
    x: Any,
    targets: Any = None,
    *,
    method: MethodLike = "gradcam",
    layer: str | Sequence[str] | None = None,
    backend: str | Backend | None = None,
    output: int | str | None = None,
    activation: str | None = None,
    images: Any = None,
    ids: Sequence[Any] | None = None,
    truth: Any = None,
    class_names: Sequence[str] | None = None,
) -> Explanation:
    """Explain what a model sees in images, once: the predicted class, Grad-CAM, the layer found.

    For many calls, keep an `Explainer`, which takes the same arguments and finds the layer only once.
    """
    explainer = Explainer(model, method, layer, backend, output, activation)
    return explainer(x, targets, images, ids, truth, class_names)


def picture_input(backend: type[Backend], x: Any) -> np.ndarray:
    """The argument with the most axes."""
    return max((backend.to_numpy(part) for part in trees.leaves(x) if part is not None), key=np.ndim)


def _check_map(layer: str, activations: np.ndarray, input_size: tuple[int, ...]) -> None:
    spatial = activations.shape[2:]
    if len(spatial) != len(input_size) or int(np.prod(spatial)) < 2:
        raise no_map(layer, activations.shape, input_size)
    _finite(activations, f"the activations of layer {layer!r}")


def _finite(array: np.ndarray, what: str) -> np.ndarray:
    """The array itself. A sum is finite for all but broken arrays, and much cheaper than looking at each value."""
    with np.errstate(over="ignore", invalid="ignore"):
        suspicious = not np.isfinite(array.sum())
    if suspicious:
        bad = int(array.size - np.isfinite(array).sum())
        if bad:
            raise BackendError(
                f"{what} have {bad} NaN or infinite values of {array.size}; check the weights and the inputs, "
                "and the precision: float16 overflows above 65504"
            )
    return array


def _scores(capture: Capture, aim: Aim, activation: str | None) -> np.ndarray:
    """(M,) the target's probability; where it is no class, the linear score that its direction measures."""
    classes = aim.classes
    flat = capture.outputs.reshape(len(classes), 1, -1)
    linear = (aim.direction.reshape(*classes.shape, -1) * flat).sum(axis=-1, dtype=np.float64)
    if (classes < 0).all() or is_dense(capture.outputs):  # a class of a score map has no one probability
        return linear.reshape(-1)
    p = probabilities(capture.outputs, capture.outputs_kind, capture.link, activation)
    chosen = np.take_along_axis(p, np.maximum(classes, 0), axis=1)
    return np.where(classes < 0, linear, chosen).reshape(-1)

"""Model and images in, explanations out: the way of the data on one screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from xaicore import plugins, trees
from xaicore.backend import Backend, Capture, Facts
from xaicore.data.labels import Labels, calls_binary
from xaicore.data.targets import read_target
from xaicore.errors import BackendError, InputError, LayerError, MethodError
from xaicore.evidence import maps_at
from xaicore.explanation import Explanation
from xaicore.layers import Place, as_layers, check_axes, default_layer, find_place, read
from xaicore.maps import fuse
from xaicore.methods import Method, find_method
from xaicore.outputs import (
    check_activation,
    check_kind,
    is_dense,
    predicted_classes,
    probabilities,
    settle_kind,
)
from xaicore.show.pictures import Pictures
from xaicore.targets import Aim, Target, check_aim

__all__ = ["Explainer", "MethodLike", "explain", "picture_input"]

MethodLike = str | Callable[..., np.ndarray] | Method

MOST_PLACES = 16
"""Shapes of inputs whose facts an explainer keeps, so that pictures of ever new sizes do not fill the memory."""


class Explainer:
    """Explains one model again and again; keeps the layer that the first call found.

    Args:
        model: a model of any framework that a backend plugin accepts.
        method: a name (`xaicore.METHODS`) or a function `f(activations, gradients)`.
        layer: a name, several names (their maps are fused), or None: the last map of the image that no pooling layer
            made, found on the first call.
        backend: a plugin's name, a `Backend`, or None: chosen by the model's class.
        output: which of several outputs is explained, an index or a name.
        activation: "softmax" or "sigmoid", which turns outputs into probabilities. None: what the model itself puts on
            them, else softmax for several outputs and sigmoid for one. "sigmoid" is for several labels per image.
        kind: "logits", "probabilities" or "values", what the outputs are. None: by the end of the model and its loss;
            one linear output that nothing calls binary is a value, explained with the direction +1.
        axes: a letter per axis of the layer's output where nothing in the model says which is which, such as "nchw",
            "nhwc" or "nlc": n images, c channels, h w d t positions, l tokens.
        grid: the positions that tokens stand for, (h, w); tokens before them are prefix tokens.
        input_axes: the same letters for the input, such as "nhwc".

    Raises:
        PluginError: no backend accepts this model.
        MethodError: the method is unknown.
        InputError: the activation is unknown, or `output` is given for a backend that is already built.
    """

    def __init__(
        self,
        model: Any,
        method: MethodLike = "gradcam",
        layer: str | Sequence[str] | None = None,
        backend: str | Backend | None = None,
        output: int | str | None = None,
        activation: str | None = None,
        kind: str | None = None,
        axes: str | None = None,
        grid: Sequence[int] | None = None,
        input_axes: str | None = None,
    ) -> None:
        check_activation(activation)
        check_kind(kind)
        self.kind = kind
        self._axes = None if axes is None else check_axes(axes, "axes")
        self._grid = None if grid is None else tuple(int(n) for n in grid)
        self._input_axes = None if input_axes is None else check_axes(input_axes, "input_axes")
        self._places: dict[tuple[Any, ...], tuple[Facts, Place] | None] = {}
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
        self._layer_is_found = layer is None
        self._layers = as_layers(layer)

    def __repr__(self) -> str:
        return f"<Explainer of {self.describe([self.method])}>"

    def describe(self, methods: Sequence[Method]) -> str:
        """The model, these methods, the layer and the backend, in one phrase."""
        names = ", ".join(method.name for method in methods)
        layer = " + ".join(self._layers) or "a layer to be found"
        return f"{self.model_name}: {names} at {layer}, backend {self.backend.name or type(self.backend).__name__}"

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that are explained; empty until the first call where none was named."""
        return self._layers

    def __call__(
        self,
        x: Any,
        targets: Any = None,
        images: Any = None,
        ids: Any = None,
        truth: Any = None,
        class_names: Any = None,
    ) -> Explanation:
        """Explain N images. Labels and targets may be lists, arrays, or tensors of any framework on any device.

        Args:
            x: exactly what the model takes, one image or a batch; a tuple is positional arguments, a dict keyword
                arguments.
            targets: None or "predicted", the predicted class; "truth", the true class; a class index or name; one
                class per image; (N, K) classes; (1, K), the same K for all images; or a target from
                `xaicore.targets`. In a one-output classifier, class 0 is the opposite of class 1.
            images: the pictures in the frame that the model sees, (N, H, W, 3) uint8 RGB; made of `x` on demand where
                they are not given.
            ids: N names, unique in a run; "0", "1", ... when None. A string for a single image.
            truth: N true classes, indices or names, -1 where unknown; one-hot rows (N, classes); or multi-hot rows of
                0 and 1 where several labels may be true. A scalar for a single image.
            class_names: one name per class, in class order, or {index: name}.

        Raises:
            LayerError, TargetError, InputError, BackendError, MethodError: an argument does not fit; the message says
                what was expected. The model is as before.
        """
        labels = Labels.read(ids, truth, class_names)
        target = read_target(targets, labels.truth, labels.class_names)
        return self.run(x, [self.method], target, images, labels)[0]

    def compare(
        self,
        x: Any,
        methods: Sequence[MethodLike],
        targets: Any = None,
        images: Any = None,
        ids: Any = None,
        truth: Any = None,
        class_names: Any = None,
    ) -> dict[str, Explanation]:
        """Explain N images with several methods from one pass: {method: Explanation}. Arguments as in a call."""
        if isinstance(methods, str) or not methods:
            raise MethodError(f"methods={methods!r}: expected a list of names or functions")
        found = list(dict.fromkeys(find_method(method) for method in methods))
        names = [method.name for method in found]
        if len(set(names)) < len(names):
            raise MethodError(
                f"methods of one name in {', '.join(names)}: give a function a name of its own with "
                "xaicore.Method(name, function)"
            )
        labels = Labels.read(ids, truth, class_names)
        target = read_target(targets, labels.truth, labels.class_names)
        return {result.method: result for result in self.run(x, found, target, images, labels)}

    def run(self, x: Any, methods: Sequence[Method], target: Target, images: Any, labels: Labels) -> list[Explanation]:
        """One explanation per method, from one pass; for callers that have read their arguments already."""
        facts, place = self._find_place(x)
        with_gradients = any(method.needs == "gradients" for method in methods)
        names = self._layers if place is None else place.captured
        capture, aim, labels = self._capture(x, names, target, labels, with_gradients, facts)
        evidence, views = capture, 1
        if place is not None:
            views = place.views
            evidence = replace(
                capture,
                outputs=np.repeat(capture.outputs, views, axis=0),
                activations=place.arrange(capture.activations),
                gradients=place.arrange(capture.gradients, targets=True),
                input_size=place.frame.size,
            )
        aim_of_views = aim.repeated(views)
        picture = partial(picture_input, type(self.backend), x, place)
        count, k = aim.classes.shape
        shared = {
            "image_index": np.repeat(np.arange(count), k),
            "targets": aim.classes.reshape(-1),
            "scores": _scores(capture, aim, self.activation),
            "predicted": predicted_classes(capture.outputs, capture.outputs_kind),
            "outputs": capture.outputs,
            "outputs_kind": capture.outputs_kind,
            "input_size": evidence.input_size,
            "views": views,
            "ids": labels.ids,
            "truth": labels.truth,
            "class_names": labels.class_names,
            "layer": " + ".join(self._layers),
            "model": self.model_name,
            "target": str(target),
            "pictures": Pictures(count, evidence.input_size, images, picture, views),
        }
        results = []
        for method in methods:
            of_layers = [maps_at(one, method, self.backend, x, evidence, aim_of_views) for one in self._layers]
            maps = _group_views(fuse(of_layers), count, views)
            empty = np.logical_not((maps > 0).reshape(len(maps), -1).any(axis=1))
            results.append(Explanation(maps=maps, empty=empty, method=method.name, **shared))
        return results

    def _find_place(self, x: Any) -> tuple[Facts | None, Place | None]:
        """Facts and grids for inputs of this shape; none for a backend that reports no facts."""
        shapes = tuple(np.shape(leaf)[1:] for leaf in trees.leaves(x) if hasattr(leaf, "shape"))
        if shapes not in self._places:
            facts = self.backend.observe(x)
            if facts is not None:
                reading = read(facts, self.backend.channels_last, self._input_axes)
                name = self.backend.layer_name
                place = find_place(facts, reading, self._layers, name, self._axes, self._grid)
                self._layers = self._layers or tuple(place.runs)
                self._places[shapes] = facts, place
            else:
                if not self._layers:
                    self._layers = (default_layer(self.backend.layers(x)),)
                self._places[shapes] = None
            if len(self._places) > MOST_PLACES:
                del self._places[next(iter(self._places))]
        return self._places[shapes] or (None, None)

    def _capture(
        self, x: Any, names: Sequence[str], target: Target, labels: Labels, with_gradients: bool, facts: Facts | None
    ) -> tuple[Capture, Aim, Labels]:
        """One pass. Labels and target are compared with the outputs before anything is pulled back."""
        answers: list[tuple[Aim, Labels]] = []
        is_binary = facts is None or calls_binary(target, labels)  # without facts, the end of the model is unknown

        def settle(outputs: np.ndarray, kind: str, link: str | None) -> tuple[str, str | None]:
            return settle_kind(
                outputs,
                kind,
                link,
                trained_for=None if facts is None else facts.trained_for,
                chosen=self.kind,
                activation=self.activation,
                is_binary=is_binary,
            )

        def direction(outputs: np.ndarray, kind: str) -> np.ndarray:
            self._check_outputs(outputs)
            kind, _ = settle(outputs, kind, None if facts is None else facts.link)
            checked = labels.checked(outputs, kind)
            aim = check_aim(target.aim(outputs, kind), target, outputs)
            answers.append((aim, checked))
            return aim.direction

        capture = self.backend.capture(x, names, direction if with_gradients else None)
        if not with_gradients:
            direction(capture.outputs, capture.outputs_kind)
        kind, link = settle(capture.outputs, capture.outputs_kind, capture.link)
        capture = replace(capture, outputs_kind=kind, link=link)
        if len(answers) != 1:
            raise BackendError(
                f"backend {self.backend.name!r} called direction {len(answers)} times; expected one call"
            )
        self._check_layers(names, capture.activations, "activations")
        if with_gradients:
            self._check_layers(names, capture.gradients, "gradients")
        return capture, *answers[0]

    def _check_outputs(self, outputs: np.ndarray) -> None:
        if not len(outputs):
            raise InputError(f"the batch is empty: outputs {outputs.shape}; expected one image or more")
        nan = int(np.isnan(outputs).sum())
        if nan:
            raise BackendError(f"the outputs have {nan} NaN values of {outputs.size}; check weights and inputs")
        if is_dense(outputs) and self._layer_is_found:
            raise LayerError(
                f"outputs {outputs.shape} are a score per position, where the last map says little; name the layer to "
                "explain: layer=..."
            )

    def _check_layers(self, names: Sequence[str], arrays: Mapping[str, np.ndarray], kind: str) -> None:
        missing = [layer for layer in names if layer not in arrays]
        if missing:
            given = ", ".join(arrays) or "no layer"
            raise BackendError(f"backend {self.backend.name!r} gave {kind} for {given}, not for {missing[0]!r}")


def explain(
    model: Any,
    x: Any,
    targets: Any = None,
    *,
    method: MethodLike = "gradcam",
    layer: str | Sequence[str] | None = None,
    images: Any = None,
    ids: Any = None,
    truth: Any = None,
    class_names: Any = None,
    backend: str | Backend | None = None,
    output: int | str | None = None,
    activation: str | None = None,
    kind: str | None = None,
    axes: str | None = None,
    grid: Sequence[int] | None = None,
    input_axes: str | None = None,
) -> Explanation:
    """Explain what a model sees in images, once. For many calls keep an `Explainer`, which finds the layer only once.

    Args:
        model: a model of any framework that a backend plugin accepts.
        x: one image or a batch, exactly as the model takes it; a tuple is positional arguments, a dict keyword
            arguments.
        targets: None or "predicted", the predicted class; "truth", the true class; a class index or name; one class
            per image; (N, K) or (1, K) classes; or a target from `xaicore.targets`.
        method: a name (`xaicore.METHODS`) or a function `f(activations, gradients)`.
        layer: a name, several names (their maps are fused), or None: the last map that no pooling layer made.
        images: N pictures in the frame that the model sees, (N, H, W, 3) uint8 RGB; made of `x` when None.
        ids: N names; "0", "1", ... when None.
        truth: N true classes, -1 where unknown; or one-hot or multi-hot rows (N, classes).
        class_names: one name per class, in class order, or {index: name}.
        backend: a plugin's name, a `Backend`, or None: chosen by the model's class.
        output: which of several outputs is explained, an index or a name.
        activation: "softmax" or "sigmoid", which turns outputs into probabilities; None: the model's own.
        kind: "logits", "probabilities" or "values", what the outputs are; None: as the model shows.
        axes, grid, input_axes: the axes of the layer and of the input, as in `Explainer`.

    Raises:
        PluginError: no backend accepts this model.
        LayerError, TargetError, InputError, BackendError, MethodError: an argument does not fit; the message says what
            was expected. The model is as before.
    """
    explainer = Explainer(model, method, layer, backend, output, activation, kind, axes, grid, input_axes)
    return explainer(x, targets, images, ids, truth, class_names)


def picture_input(backend: type[Backend], x: Any, place: Place | None = None) -> np.ndarray:
    """The input that the maps lie over, (N, C, *size) where its axes are known; else the one with the most axes."""
    arrays = [backend.to_numpy(leaf) for leaf in trees.leaves(x) if leaf is not None]
    return max(arrays, key=np.ndim) if place is None else place.pictures([one for one in arrays if one.ndim])


def _group_views(maps: np.ndarray, count: int, views: int) -> np.ndarray:
    """Maps (N * views * K, *S) as (N * K, views, *S); with one view as they are."""
    if views == 1:
        return maps
    per_view = maps.reshape(count, views, -1, *maps.shape[1:]).swapaxes(1, 2)
    return np.ascontiguousarray(per_view).reshape(-1, views, *maps.shape[1:])


def _scores(capture: Capture, aim: Aim, activation: str | None) -> np.ndarray:
    """(M,) what the target says; else its probability, or, where it is no class, its direction times the outputs."""
    classes = aim.classes
    if aim.scores is not None:
        return aim.scores.reshape(-1)
    flat = capture.outputs.reshape(len(classes), 1, -1)
    linear = (aim.direction.reshape(*classes.shape, -1) * flat).sum(axis=-1, dtype=np.float64)
    if (classes < 0).all() or is_dense(capture.outputs):  # a class of a score map has no one probability
        return linear.reshape(-1)
    p = probabilities(capture.outputs, capture.outputs_kind, capture.link, activation)
    chosen = np.take_along_axis(p, np.maximum(classes, 0), axis=1)
    return np.where(classes < 0, linear, chosen).reshape(-1)

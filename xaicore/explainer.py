"""Model and images in, explanations out: the way of the data on one screen."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from xaicore import plugins, trees
from xaicore.backend import Backend
from xaicore.data.labels import Labels
from xaicore.data.reader import Reader
from xaicore.data.targets import read_target
from xaicore.errors import InputError, type_name
from xaicore.evidence import Evidence, Passes, arranged, first_pass, group_views, scores_of
from xaicore.explanation import Explanation
from xaicore.layers import Frame, Place, Places, as_layers, blank
from xaicore.maps import fuse
from xaicore.methods import Method, MethodLike, apply, check_powers, find_method, find_methods, plan_for
from xaicore.outputs import check_activation, check_kind, predicted_classes
from xaicore.show.pictures import Pictures
from xaicore.targets import Target

__all__ = ["Explainer", "explain", "picture_input"]

INPUT = "the input"
"""What a result names as its layer, where its method explains none."""


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
        outliers: "mask" leaves out a transformer's outlier tokens, whose norm exceeds three times the median of their
            image (Darcet et al. 2024). None: they count.

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
        outliers: str | None = None,
    ) -> None:
        check_activation(activation)
        check_kind(kind)
        self.kind = kind
        self.method = find_method(method)
        self.activation = activation
        self.model_name = type_name(model)
        if isinstance(backend, Backend):
            if output is not None:
                raise InputError(f"output={output!r} with a Backend instance: build the backend for that output")
            plugins.check_instance(backend, "backend", "backend=")
            self.backend = backend
        else:
            self.backend = plugins.installed().backend(model, output, backend)
        self._finds_layer = layer is None
        needs_classifier = self.method.needs == "weights"
        self._places = Places(self.backend, as_layers(layer), axes, grid, input_axes, outliers, needs_classifier)

    def __repr__(self) -> str:
        return f"<Explainer of {self.describe([self.method])}>"

    def describe(self, methods: Sequence[Method]) -> str:
        """The model, these methods, the layer and the backend, in one phrase."""
        names = ", ".join(method.name for method in methods)
        layer = " + ".join(self.layers) or "a layer to be found"
        return f"{self.model_name}: {names} at {layer}, backend {self.backend.name or type(self.backend).__name__}"

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that are explained; empty until the first call where none was named."""
        return self._places.layers

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
        found = find_methods(methods)
        labels = Labels.read(ids, truth, class_names)
        target = read_target(targets, labels.truth, labels.class_names)
        return {result.method: result for result in self.run(x, found, target, images, labels)}

    def run(self, x: Any, methods: Sequence[Method], target: Target, images: Any, labels: Labels) -> list[Explanation]:
        """One explanation per method, from one pass; for callers that have read their arguments already."""
        check_powers(methods, self.backend)
        plan = plan_for(methods)
        facts, place = self._places.find(x, plan.has_layer)
        tokens = self._places.find_attention(x, plan.blocks, plan.has_layer) if plan.has_attention else None
        names: tuple[str, ...] = ()
        if plan.has_layer:
            names = self.layers if place is None else place.captured
        reader = Reader(facts, self.kind, self.activation, self._finds_layer and plan.has_layer, target, labels)
        captured, aim = first_pass(self.backend, x, plan, names, tokens, reader.settle, reader.aim_for)
        capture = arranged(captured, place)
        count, k = aim.classes.shape
        views = 1 if place is None else place.views
        passes = Passes(self.backend, x, place, target, aim, reader.settle)
        shared: dict[str, Any] = {
            "image_index": np.repeat(np.arange(count), k),
            "targets": aim.classes.reshape(-1),
            "scores": scores_of(captured, aim, self.activation),
            "predicted": predicted_classes(captured.outputs, captured.outputs_kind),
            "outputs": captured.outputs,
            "outputs_kind": captured.outputs_kind,
            "input_size": capture.input_size,
            "views": views,
            "view_names": () if place is None else place.view_names,
            "frames": 1 if place is None else place.frames,
            "ids": reader.labels.ids,
            "truth": reader.labels.truth,
            "class_names": reader.labels.class_names,
            "model": self.model_name,
            "target": str(target),
            "pictures": self.pictures(x, count, capture.input_size, images),
        }
        results = []
        for method in methods:
            last = None if tokens is None or not method.has_attention else tokens.last(method.blocks)
            layers = self.layers if method.has_layer else (INPUT if last is None else last.name,)
            aimed = aim.repeated(views)
            each = [Evidence(capture, captured, one, aimed, passes, place, last) for one in layers]
            maps = group_views(fuse([apply(method, one) for one in each]), count, views)
            empty = np.logical_not((maps > 0).reshape(len(maps), -1).any(axis=1))
            if place is not None and place.unreached and empty.all() and "gradients" in method.asks:
                warnings.warn(blank(place.unreached), RuntimeWarning, stacklevel=3)
            results.append(
                Explanation(
                    maps=maps,
                    empty=empty,
                    method=method.name,
                    layer=" + ".join(layers),
                    signed=method.signed,
                    **shared,
                )
            )
        return results

    def pictures(self, x: Any, count: int, input_size: tuple[int, ...], images: Any = None) -> Pictures:
        """The pictures under the maps of x: the caller's, else made of the input that they lie over, on demand."""
        _, place = self._places.find(x, needs_layer=False)
        views = 1 if place is None else place.views
        make = partial(picture_input, type(self.backend), x, place)
        if place is not None and place.frame.is_made and images is None:  # now: explanations do not keep the model
            make = partial(np.asarray, place.frame.arrange(self._made_inside(x, place.frame)))
        return Pictures(count, input_size, images, make, views)

    def _made_inside(self, x: Any, frame: Frame) -> np.ndarray:
        """The pictures that the model makes of x, as its first convolution takes them."""
        if frame.taken_by is not None:
            return self.backend.input_of(x, frame.taken_by)
        name = str(frame.made_by)
        return self.backend.capture(x, (name,)).activations[name]


def explain(
    model: Any,
    x: Any,
    targets: Any = None,
    *,
    method: MethodLike = "gradcam",
    layer: str | Sequence[str] | None = None,
    axes: str | None = None,
    grid: Sequence[int] | None = None,
    output: int | str | None = None,
    activation: str | None = None,
    kind: str | None = None,
    input_axes: str | None = None,
    outliers: str | None = None,
    images: Any = None,
    ids: Any = None,
    truth: Any = None,
    class_names: Any = None,
    backend: str | Backend | None = None,
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
        axes: a letter per axis of the layer's output, such as "nlc", where nothing in the model says which is which.
        grid: the positions that tokens stand for, (h, w).
        output: which of several outputs is explained, an index or a name.
        activation: "softmax" or "sigmoid", which turns outputs into probabilities; None: the model's own.
        kind: "logits", "probabilities" or "values", what the outputs are; None: as the model shows.
        input_axes: a letter per axis of the input, such as "nhwc".
        outliers: "mask" leaves out a transformer's outlier tokens; None: they count.
        images: N pictures in the frame that the model sees, (N, H, W, 3) uint8 RGB; made of `x` when None.
        ids: N names; "0", "1", ... when None.
        truth: N true classes, -1 where unknown; or one-hot or multi-hot rows (N, classes).
        class_names: one name per class, in class order, or {index: name}.
        backend: a plugin's name, a `Backend`, or None: chosen by the model's class.

    Raises:
        PluginError: no backend accepts this model.
        LayerError, TargetError, InputError, BackendError, MethodError: an argument does not fit; the message says what
            was expected. The model is as before.
    """
    explainer = Explainer(model, method, layer, backend, output, activation, kind, axes, grid, input_axes, outliers)
    return explainer(x, targets, images, ids, truth, class_names)


def picture_input(backend: type[Backend], x: Any, place: Place | None = None) -> np.ndarray:
    """The input that the maps lie over, (N, C, *size) where its axes are known; else the one with the most axes."""
    arrays = [backend.to_numpy(leaf) for leaf in trees.leaves(x) if leaf is not None]
    return max(arrays, key=np.ndim) if place is None else place.pictures([one for one in arrays if one.ndim])

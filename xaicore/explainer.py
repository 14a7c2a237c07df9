"""Model and images in, explanations out: the way of the data on one screen."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from xaicore import plugins
from xaicore.backend import Backend
from xaicore.data.labels import Labels
from xaicore.data.names import as_class_names
from xaicore.data.numbers import check_whole
from xaicore.data.passes import in_passes
from xaicore.data.pictures import read_sample
from xaicore.data.reader import Reader
from xaicore.data.sample import Sample
from xaicore.data.targets import read_target
from xaicore.ensemble import Ensemble, Walk
from xaicore.errors import InputError, type_name
from xaicore.evidence import BATCH_SIZE, Coupling, Progress, check_parts, check_progress, layer_before
from xaicore.evidence.pictures import as_seen, made_inside, picture_input
from xaicore.explanation import Explanation
from xaicore.facts import ByShape
from xaicore.layers import Places, as_layers
from xaicore.methods import Method, MethodLike, check_fusions, check_powers, find_method, find_methods, plan_for
from xaicore.outputs import Output, check_activation, check_kind, output_of
from xaicore.pictures import Preparation, check_single
from xaicore.results import Comparison, Found, explanations
from xaicore.show.pictures import Pictures
from xaicore.targets import Target

__all__ = ["Explainer"]


class Explainer:
    """Explains one model again and again; keeps the layer that the first call found.

    Args:
        model: a model of any framework that a backend plugin accepts.
        method: a name (`xaicore.METHODS`) or a function `f(activations, gradients)`.
        layer: a name, several names (their maps are fused), or None: the last map of the image that no pooling layer
            made, found on the first call.
        backend: a plugin's name, a `Backend`, or None: chosen by the model's class.
        output: which of several outputs is explained, an index or a name; or a function of the model's answer, in its
            framework, that returns the tensor to explain, a row per image.
        activation: "softmax" or "sigmoid", which turns outputs into probabilities. None: what the model itself puts on
            them, else softmax for several outputs and sigmoid for one. "sigmoid" is for several labels per image.
        kind: "logits", "probabilities" or "values", what the outputs are. None: by the end of the model and its loss;
            one linear output that nothing calls binary is a value, explained with the direction +1.
        axes: a letter per axis of the layer's output where nothing in the model says which is which, such as "nchw",
            "nhwc" or "nlc": n images, c channels, h w d t positions, l tokens.
        grid: the positions that tokens stand for, (h, w); tokens before them are prefix tokens.
        input_axes: the same letters for the input, such as "nhwc".
        output_axes: a letter per axis of the output where nothing in the model says which is which, such as "nlc": n
            images, c classes, l tokens or boxes, h w d t positions.
        outliers: "mask" leaves out a transformer's outlier tokens, whose norm exceeds three times the median of their
            image (Darcet et al. 2024). None: they count.
        smooth: the mean of the maps of this many noisy copies of the pictures; (copies, noise) says how much noise, as
            a fraction of a picture's range, 0.15 by default. The noise is the same in every call.
        augment: the mean over the pictures and changed versions of them, mapped back: some of "hflip", "vflip",
            "smaller" and "larger"; True for all but "vflip".
        fuse: how the maps of several layers become one, each divided by its maximum and resized to the finest: "mean",
            "max" or "product". None keeps them apart: `compare` returns an explanation of each.
        batch_size: for methods of many passes, the most changed pictures in one of them; fewer where memory does not
            suffice.
        progress: True for a bar on such methods, with the rate and the time left, False for none, or a function
            `progress(done, total)`. None: a bar in terminals and notebooks, where the work takes longer than 2 seconds.
        preprocess: a function from a picture, (H, W, 3) uint8 RGB, to x, one input without a batch axis, as an array or
            a tensor; or to (x, picture), with the picture uint8 RGB as the network sees it; or "imagenet", short side
            256, centre 224 x 224, mean and deviation. With it, calls take pictures as well as inputs.
        class_names: as in a call; the names for all calls that have none of their own.

    Raises:
        PluginError: no backend accepts this model.
        MethodError: the method is unknown.
        InputError: an option is unknown or out of range, or `output` is given for a backend that is already built.
    """

    def __init__(
        self,
        model: Any,
        method: MethodLike = "gradcam",
        layer: str | Sequence[str] | None = None,
        backend: str | Backend | None = None,
        output: int | str | Callable[[Any], Any] | None = None,
        activation: str | None = None,
        kind: str | None = None,
        axes: str | None = None,
        grid: Sequence[int] | None = None,
        input_axes: str | None = None,
        output_axes: str | None = None,
        outliers: str | None = None,
        smooth: int | tuple[int, float] | None = None,
        augment: bool | str | Sequence[str] = False,
        fuse: str | None = "mean",
        batch_size: int = BATCH_SIZE,
        progress: Progress | bool | None = None,
        preprocess: Callable[..., Any] | str | None = None,
        class_names: Any = None,
    ) -> None:
        check_activation(activation)
        check_kind(kind)
        check_progress(progress)
        self.batch_size = check_whole(batch_size, "batch_size", 1)
        self.progress = progress
        self.preparation = Preparation.of(preprocess)
        self.class_names = as_class_names(class_names)
        self.kind = kind
        self.ensemble = Ensemble(smooth, augment, fuse)
        self.method = find_method(method)
        self.activation = activation
        self.model_name = type_name(model)
        self._backend_for = partial(plugins.backend_for, model, backend)
        self._reading: ByShape[Explainer] = ByShape()
        self._output = output_of(output, output_axes)
        self.backend = self._backend_for(self._output)
        self.preparation = self.preparation and self.preparation.for_backend(self.backend)
        self._finds_layer = layer is None
        self._find = (as_layers(layer), axes, grid, input_axes, outliers, self.method.needs == "weights")
        self._places = Places(self.backend, *self._find)
        self._coupling = Coupling()

    def quiet(self) -> Explainer:
        """The same explainer, without progress of its own, for what reports a progress around it."""
        quiet = copy.copy(self)
        quiet.progress, quiet._reading = False, ByShape()
        return quiet

    def __repr__(self) -> str:
        return f"<Explainer of {self.describe([self.method])}>"

    def key(self, result: Explanation) -> str:
        """The method of a result; "method at layer" where layers are kept apart."""
        return f"{result.method} at {result.layer}" if self.ensemble.keeps_apart(self.layers) else result.method

    def describe(self, methods: Sequence[Method]) -> str:
        """The model, these methods, the layer and the backend, in one phrase."""
        names = ", ".join(method.name for method in methods)
        layer = " + ".join(self.layers) or "a layer to be found"
        return f"{self.model_name}: {names} at {layer}, backend {self.backend.name or type(self.backend).__name__}"

    @property
    def places(self) -> Places:
        """Where the model is explained, for inputs of each shape."""
        return self._places

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
                arguments, a list one argument. With `preprocess`, also pictures: the path of a file, of a folder (with
                all its subfolders) or of a video (at most 16 frames, evenly spaced), a pattern such as
                "photos/**/*.jpg", a PIL image, or a list of these; uint8 arrays (H, W, 3) or (N, H, W, 3) and lists
                of them, of any sizes. At most 1000, in passes of `batch_size`; of several files, those that
                cannot be read are skipped with a warning, and `targets`, `truth` and `ids` stay those of all of them.
            targets: None or "predicted", the predicted class; "truth", the true class; a class index or name; one
                class per image; (N, K) classes; (1, K), the same K for all images; or a target from
                `xaicore.targets`. In a one-output classifier, class 0 is the opposite of class 1.
            images: the pictures in the frame that the model sees, (N, H, W, 3) uint8 RGB. None: those that
                `preprocess` returns, else made of `x` on demand.
            ids: N names, unique in a run. None: the paths of pictures that were read from files, "clip.mp4 at 3.2 s" of
                a video's, else "0", "1", ... A string for a single image.
            truth: N true classes, indices or names, -1 where unknown; one-hot rows (N, classes); or multi-hot rows of
                0 and 1 where several labels may be true. A scalar for a single image.
            class_names: one name per class, in class order, {index: name}, or a file of names.

        Raises:
            LayerError, TargetError, InputError, BackendError, MethodError: an argument does not fit; the message says
                what was expected. The model is as before.
        """
        if self.ensemble.keeps_apart(self.layers) and self.method.fusion is None:
            raise InputError(
                f"the maps of {len(self.layers)} layers are kept apart, and a call returns one explanation: call "
                "explainer.compare(x), which returns one for each"
            )
        return self._explain(x, [self.method], targets, images, ids, truth, class_names)[0]

    def compare(
        self,
        x: Any,
        methods: Sequence[MethodLike] | None = None,
        targets: Any = None,
        images: Any = None,
        ids: Any = None,
        truth: Any = None,
        class_names: Any = None,
    ) -> Comparison:
        """Explain N images with several methods from one pass: {method: Explanation}, which shows itself side by side.

        Arguments as in a call; without `methods`, the explainer's own. Keys of layers kept apart: "method at layer".
        """
        found = [self.method] if methods is None else find_methods(methods)
        results = self._explain(x, found, targets, images, ids, truth, class_names)
        return Comparison({self.key(result): result for result in results})

    def read(self, x: Any, images: Any = None, ids: Any = None, skips: bool = False) -> Sample | None:
        """The pictures that x means, prepared; None where x is the model's own input. `skips` as in `read_sample`.

        Raises:
            InputError: they cannot be read or prepared, or there is no `preprocess`.
        """
        sample = read_sample(x, self.preparation, images, ids, self.backend, skips)
        if sample is not None:
            check_single(sample.x, self.backend.with_batch_axis)
        return sample

    def of_inputs(self) -> Explainer:
        """The same explainer without `preprocess`: all that it is given is the model's own input."""
        same = copy.copy(self)
        same.preparation = None
        return same

    def _explain(
        self, x: Any, methods: Sequence[Method], targets: Any, images: Any, ids: Any, truth: Any, class_names: Any
    ) -> list[Explanation]:
        """One explanation per method, and per layer kept apart; pictures in several passes."""
        labels = Labels.read(ids, truth, self.class_names if class_names is None else class_names)
        target = read_target(targets, labels.truth, labels.class_names)
        sample = self.read(x, images, ids, skips=True)
        if sample is None:
            return self.run(x, methods, target, images, labels)
        results = in_passes(partial(self._run_pass, methods), sample, target, labels, self.batch_size)
        if sample.images is not None or len(sample) <= self.batch_size:
            return results
        pictures = self.pictures(sample.x, len(sample), results[0].input_size)  # of all, so that they have one scale
        return [replace(result, pictures=pictures) for result in results]

    def _run_pass(self, methods: Sequence[Method], batch: Sample, target: Target, labels: Labels) -> list[Explanation]:
        assert self.preparation is not None
        with self.preparation.blamed():
            return self.run(batch.x, methods, target, batch.images, labels)

    def run(self, x: Any, methods: Sequence[Method], target: Target, images: Any, labels: Labels) -> list[Explanation]:
        """One explanation per method, and per layer kept apart; for callers that have read their arguments already."""
        if target.output is not None and target.output != self._output:
            labels = replace(labels, truth=None, class_names=None)  # they are of the model's own outputs
            return self._reads(target.output).run(x, methods, target, images, labels)
        x = self.backend.with_batch_axis(x) if isinstance(x, list) else x
        check_powers(methods, self.backend)
        check_parts(target, self.backend)
        check_fusions(methods, self.layers)
        plan = plan_for(methods)
        facts, place = self._places.find(x, plan.has_layer)
        grids = self._places.grids(x) if plan.has_biases else {}
        tokens = self._places.find_attention(x, plan.blocks, plan.has_layer) if plan.has_attention else None
        size = () if place is None else place.frame.size
        finds_layer = self._finds_layer and plan.has_layer
        reader = Reader(self.backend, facts, self.kind, self.activation, finds_layer, target, labels, size)
        only_size = facts.count if facts is not None and facts.count > 1 else None
        walk = Walk(
            *(self.backend, place, plan, methods, self.layers, tokens, target, reader.settle, self.ensemble),
            *(self.activation, self.batch_size, only_size, self.progress, self._coupling, grids),
        )
        captured, aim, maps_of = walk.run(x, reader.aim_for)
        if finds_layer and aim.boxes is not None:
            better = layer_before(self.backend, x, self._places, captured, aim)
            if better is not None:
                self._places.move(better)
                return self.run(x, methods, target, images, labels)
        pictures = self.pictures(x, len(aim.classes), size or captured.input_size, images)
        return explanations(walk, Found(captured, aim, maps_of), reader.labels, pictures, self.model_name)

    def _reads(self, output: Output) -> Explainer:
        """The same explainer, of another part of the model's answer."""
        key = (id(output.read), output.name, output.axes, output.is_score)  # functions need not be hashable
        if key not in self._reading:
            reading = copy.copy(self)
            reading._output, reading.backend = output, self._backend_for(output)
            reading.kind = "values" if output.is_score else self.kind
            reading._places, reading._coupling = Places(reading.backend, *self._find), Coupling()
            self._reading[key] = reading
        return self._reading[key]

    def pictures(self, x: Any, count: int, input_size: tuple[int, ...], images: Any = None) -> Pictures:
        """The pictures under the maps of x: the caller's, else made of the input that they lie over, on demand."""
        _, place = self._places.find(x, needs_layer=False)
        views = 1 if place is None else place.views
        make = partial(picture_input, type(self.backend), x, place)
        if place is not None and place.frame.is_made and images is None:  # now: explanations do not keep the model
            make = partial(np.asarray, place.frame.arrange(made_inside(self.backend, x, place.frame)))
        return Pictures(count, input_size, as_seen(images, place), make, views)

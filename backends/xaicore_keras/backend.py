"""Activations and gradients of Keras models, for the price of one compiled forward pass."""

from __future__ import annotations

import contextlib
import re
import sys
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from xaicore import Backend, BackendError, Capture, Direction, Layer, LayerError, XaicoreError, check_direction
from xaicore_keras.classifier import classifier_rows, find_classifier
from xaicore_keras.engines import Forward, engine
from xaicore_keras.inputs import Inputs, Structure, known_inputs, prepare, takes_channels_last, with_batch_axis
from xaicore_keras.paths import check_reachable, walk
from xaicore_keras.run import Program, choose, run_model
from xaicore_keras.state import left_as_found, lock, wrapped_modules_as_found
from xaicore_keras.survey import Plan, Survey
from xaicore_keras.traces import traces_of

__all__ = ["KerasBackend"]

HALF_SCALE = 1024.0
"""Gradients in float16 lose what is below 6e-8: so pull back a multiple, and the plain one where that overflows."""


class KerasBackend(Backend):
    """One `keras.Model`, on TensorFlow, JAX or torch, whatever its topology.

    A model that was never called is built by the first batch, as its own first call would build it; nothing else of
    it changes. Compiled runs are kept with the model, and serve every explainer of it.

    Args:
        model: functional, Sequential or subclassed, of any precision, frozen or training.
        output: which of several outputs is explained, an index or a name.

    Raises:
        BackendError: Keras runs on a backend that is not known.
    """

    name = "keras"

    def __init__(self, model: keras.Model, output: int | str | None = None) -> None:
        self.model = model
        self.output = output
        self.channels_last = takes_channels_last(model)
        self._engine = engine()
        self._traces = traces_of(model)

    def layers(self, inputs: Any) -> tuple[Layer, ...]:
        """Every layer in order of completion, seen on the first image."""
        return self._plan(prepare(self.model, inputs)).layers

    def capture(self, inputs: Any, layers: Sequence[str], direction: Direction | None = None) -> Capture:
        """One compiled forward pass, and one pull-back to all of these layers."""
        given = prepare(self.model, inputs)
        plan = self._plan(given)
        self._check_layers(layers, plan)
        forward = self._forward(given, plan, layers, direction is not None and bool(layers))
        outputs = _class_axis_first(forward.outputs, plan)
        kind = _kind(outputs, plan)
        gradients: dict[str, np.ndarray] = {}
        if direction is not None:
            rows = check_direction(direction(outputs, kind), outputs)
            with self._model_errors(given):
                gradients = self._pull(forward, plan, layers, rows) if layers else {}
        activations = {
            name: np.moveaxis(array, plan.places[name].axis, 1)
            for name, array in zip(layers, forward.activations, strict=True)
        }
        size = tuple(int(n) for i, n in enumerate(given.picture.shape) if i not in (0, plan.input_axis))
        return Capture(outputs, kind, activations, size, gradients, plan.link)

    @staticmethod
    def to_numpy(value: Any) -> np.ndarray:
        """A tensor or array as NumPy; floating-point ones as float32."""
        array = Backend.to_numpy(keras.ops.convert_to_numpy(value) if keras.ops.is_tensor(value) else value)
        is_float = keras.backend.is_float_dtype(array.dtype.name) and array.dtype != np.float32
        return array.astype(np.float32) if is_float else array

    def with_batch_axis(self, inputs: Any) -> Any:
        """A single array one axis short for the model gets a batch axis."""
        return with_batch_axis(self.model, inputs)

    @property
    def ready(self) -> bool:
        """Whether the model is built."""
        return bool(self.model.built)

    @contextlib.contextmanager
    def undisturbed(self, source: Any = None) -> Iterator[None]:
        """Keep torch's random state and loader too, where they are: Keras trains from these on any backend."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(super().undisturbed(source))
            if torch := sys.modules.get("torch"):
                from xaicore_torch.loader import loader_as_found, loader_parts

                for part in loader_parts(source):
                    stack.enter_context(super().undisturbed(part))
                stack.enter_context(torch.random.fork_rng([]))
                stack.enter_context(loader_as_found(source))
            yield

    def classifier_weights(self, inputs: Any, layer: str) -> np.ndarray:
        """The rows (classes, C) of the dense layer (or 1 x 1 convolution) that reads this layer's spatial mean.

        Raises:
            MethodError: there is none; told by the numbers of this batch, not by names.
        """
        given = prepare(self.model, inputs)
        plan = self._plan(given)
        self._check_layers([layer], plan)

        def search() -> str:
            forward = self._forward(given, plan, [layer], pulls=False)
            features = np.moveaxis(forward.activations[0], plan.places[layer].axis, 1)
            return find_classifier(self.model, layer, features, forward.outputs)

        key = ("classifier", layer, self.output, given.signature(with_batch=False))
        return classifier_rows(walk(self.model)[self._traces.get(key, search)])

    def resume(self, inputs: Any, layer: str, activations: np.ndarray) -> np.ndarray:
        """Outputs (N*R, ...) computed from activations (N*R, C, *spatial) of a layer on; compiled, as `capture` is."""
        given = prepare(self.model, inputs)
        plan = self._plan(given)
        self._check_layers([layer], plan)
        start = np.asarray(activations, np.float32)
        shape = plan.places[layer].shape[1:]
        if start.shape[1:] != shape or not len(start) or len(start) % given.count:
            raise BackendError(
                f"activations of shape {start.shape} for {given.count} images at layer {layer!r}: expected "
                f"(N*R{''.join(f', {n}' for n in shape)}), R rows for each image"
            )
        start = np.ascontiguousarray(np.moveaxis(start, 1, plan.places[layer].axis))
        with self._model_errors(given):
            outputs = self._engine.resume(self._program(given.structure, plan), self._traces, given, layer, start)
        return _class_axis_first(outputs, plan)

    def _plan(self, given: Inputs) -> Plan:
        self._build(given)
        self._traces.refresh(self.model)
        key = ("plan", self.output, given.signature(with_batch=False))
        plan: Plan = self._traces.get(key, lambda: self._survey(given))
        return plan

    def _build(self, given: Inputs) -> None:
        """Give a model that was never called its weights. Unused layers stay unbuilt for ever: so look only once."""
        if self._traces.is_built:
            return
        with lock, wrapped_modules_as_found(self.model), self._model_errors(given), self._engine.outside():
            if isinstance(self.model, keras.Sequential):
                if not self.model.built:  # a call would fix the batch size in its input
                    self.model.build((None, *given.picture.shape[1:]))
            elif known_inputs(self.model) is None and not all(layer.built for layer in self.model._flatten_layers()):
                args, kwargs = given.structure.pack(given.first().tensors)
                self.model(*args, **kwargs, training=False)
        self._traces.is_built = True

    def _survey(self, given: Inputs) -> Plan:
        """A look at one image; at all of them where the model takes no batch of another size."""
        try:
            with self._model_errors(given):
                return self._look(given.first())
        except BackendError:
            if given.count == 1:
                raise
            with self._model_errors(given):
                return self._look(given)

    def _look(self, given: Inputs) -> Plan:
        survey, pictures = Survey(self.model), []

        def run(tensors: Sequence[Any], weights: Sequence[Any] | None) -> Any:
            pictures[:] = [max(tensors, key=lambda tensor: len(tensor.shape))]
            answer = run_model(self.model, given.structure, tensors, survey.hooks(), weights)
            return choose(self.model, answer, self.output)

        with left_as_found(self.model):
            y, link = self._engine.look(run, self.model, given, inlined=False)
            if any(self._engine.hides(y, output) for output in survey.outputs):
                self._traces.facts["inlined"] = True
                y, link = self._engine.look(run, self.model, given, inlined=True)
            return survey.plan(pictures[0], y, link, self._engine.hides)

    def _program(self, structure: Structure, plan: Plan) -> Program:
        return Program(weakref.ref(self.model), structure, self.output, plan)

    def _forward(self, given: Inputs, plan: Plan, layers: Sequence[str], pulls: bool) -> Forward:
        with self._model_errors(given):
            program = self._program(given.structure, plan)
            forward = self._engine.forward(program, self._traces, given, layers, pulls)
        if not forward.outputs.ndim or len(forward.outputs) != given.count:
            raise BackendError(
                f"the model answered {forward.outputs.shape} for {given.count} images; expected "
                f"({given.count}, ...), one row an image"
            )
        return forward

    def _pull(self, forward: Forward, plan: Plan, layers: Sequence[str], rows: np.ndarray) -> dict[str, np.ndarray]:
        """The direction (N, K, *O), pulled back to the layers: {layer: (N, K, C, *spatial)}."""
        if rows.ndim > 3:
            rows = np.moveaxis(rows, 2, plan.output_axis + 1)
        rows = np.ascontiguousarray(rows)
        is_half = any(plan.places[name].dtype == "float16" for name in layers)
        scale = HALF_SCALE / max(1.0, float(np.abs(rows).max())) if is_half else 1.0
        pulled = forward.pull(rows * np.float32(scale))
        if is_half and not all(gradient is None or np.isfinite(gradient).all() for gradient in pulled):
            scale, pulled = 1.0, forward.pull(rows)
        gradients: dict[str, np.ndarray] = {}
        for name, gradient in zip(layers, pulled, strict=True):
            if gradient is None:
                raise LayerError(
                    f"layer {name!r} does not reach the outputs: its answer is not used, or what follows has no "
                    "gradient (an imported graph, integers). Name another: layer=..."
                )
            gradient = gradient if scale == 1 else gradient / np.float32(scale)
            gradients[name] = np.moveaxis(gradient, plan.places[name].axis + 1, 2)
        return gradients

    def _check_layers(self, names: Sequence[str], plan: Plan) -> None:
        if all(name in plan.places for name in names):
            return
        layers = walk(self.model)
        for name in names:
            check_reachable(name, layers, type(self.model).__name__)
            if name not in plan.places:
                raise LayerError(
                    f"layer {name!r} never ran for this input, gave no tensor, or runs inside of a loop or a compiled "
                    "function: name a layer around or before it; see `layers` for those that can be explained"
                )

    @contextlib.contextmanager
    def _model_errors(self, given: Inputs) -> Iterator[None]:
        try:
            yield
        except XaicoreError:
            raise
        except Exception as exc:
            raise BackendError(
                f"the model raised {type(exc).__name__} for inputs {given}: {exc}{_remedy(exc)}"
            ) from exc


def _remedy(error: Exception) -> str:
    """What to do about an error that depends on the processor: TensorFlow enables oneDNN only on newer ones."""
    if keras.backend.backend() != "tensorflow" or not re.search(r"only supports (the )?NHWC", str(error)):
        return ""
    return (
        "\nTensorFlow runs channels-first convolutions on a CPU only with oneDNN, which it switches off on processors "
        "without AVX-512: set the environment variable TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow is imported, or build "
        "the model with channels last"
    )


def _class_axis_first(outputs: np.ndarray, plan: Plan) -> np.ndarray:
    return outputs if outputs.ndim < 3 else np.moveaxis(outputs, plan.output_axis, 1)


def _kind(outputs: np.ndarray, plan: Plan) -> str:
    """What cannot be looked into may give the probabilities of a softmax that the graph does not show as one."""
    if (
        (plan.is_opaque or plan.kind == "values")
        and plan.link is None
        and outputs.ndim > 1
        and outputs.shape[1] > 1
        and len(outputs)
    ):
        in_range = outputs.min() >= 0 and outputs.max() <= 1
        tolerance = 1e-5 if plan.output_dtype in ("float32", "float64") else 2e-2
        if in_range and np.allclose(outputs.sum(axis=1), 1, atol=tolerance):
            return "probabilities"
    return plan.kind

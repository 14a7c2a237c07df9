"""Activations and gradients of Keras models, for the price of one compiled forward pass."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from xaicore import Backend, BackendError, Capture, Direction, Layer, check_direction
from xaicore.capture import Reduction
from xaicore.facts import AttentionFacts, Facts
from xaicore.layers import listing, no_map, read
from xaicore.outputs import Output, Parts
from xaicore_keras.advice import model_errors, no_gradients
from xaicore_keras.asked import Asked, Leaf
from xaicore_keras.biases import find_biases
from xaicore_keras.blocks import Block, choose_blocks, find_blocks, leaves_of
from xaicore_keras.classifier import classifier_path, dense_of
from xaicore_keras.devices import on_device, on_its_device
from xaicore_keras.engine import Forward
from xaicore_keras.inputs import Inputs, picture_size, prepare, takes_channels_last, with_batch_axis
from xaicore_keras.losses import trained_for
from xaicore_keras.paths import check_reachable, walk
from xaicore_keras.powers import of_power
from xaicore_keras.pullback import pull_back
from xaicore_keras.reach import check_layers, check_outputs, check_start, differentiable_inputs
from xaicore_keras.reading import arrays_of, class_axis_first, floats, kind_of_outputs, of_layers, parts_of, tables_of
from xaicore_keras.reducer import Reducer
from xaicore_keras.rules import SECOND, check_bends
from xaicore_keras.run import Program, taken_by
from xaicore_keras.running import running_engine
from xaicore_keras.state import preserved_loader, preserved_model
from xaicore_keras.survey import Survey
from xaicore_keras.surveys import Surveys
from xaicore_keras.traces import Traces, traces_of
from xaicore_keras.weights import assigned, digest, hashed

__all__ = ["KerasBackend"]


class KerasBackend(Backend):
    """One `keras.Model`, on TensorFlow, JAX, torch or any other of Keras' backends, whatever its topology.

    A model that was never called is built by the first batch, as its own first call would build it; nothing else of
    it changes. Compiled passes are kept with the model, and serve every explainer of it.

    Args:
        model: functional, Sequential or subclassed, of any precision, frozen or training.
        output: which of several outputs is explained, an index or a name, or a path such as "decoder.logits" of nested
            ones; or an `xaicore.outputs.Output`, whose function of the model's answer is compiled with the model.

    Raises:
        PluginError: a package brings an engine for Keras' backend that does not work.
    """

    name = "keras"

    def __init__(self, model: keras.Model, output: int | str | Output | None = None) -> None:
        self.model = model
        self.output = output if isinstance(output, Output) else Output(output)
        self.channels_last = takes_channels_last(model)
        self.picture_size = picture_size(model)
        self._engine = running_engine()
        self.has_gradients, self.powers = self._engine.has_gradients, self._engine.powers
        # A caller's function may refer to the model: passes that are kept with the model must not hold it.
        self._traces = traces_of(model) if self.output.read is None else Traces()
        self._surveys = Surveys(model, self.output, self._engine, self._traces, self.channels_last)

    def layers(self, inputs: Any) -> tuple[Layer, ...]:
        """Every layer in order of completion, as one pass over the first image shows them."""
        return listing(self.observe(inputs), self.channels_last)

    @on_its_device
    def observe(self, inputs: Any) -> Facts:
        """The facts of one pass over the first image, kept for inputs of the same shapes."""
        facts = self._surveys.of(prepare(self.model, inputs)).facts
        loss = None if self.output.read is not None else trained_for(self.model, self.output.name)
        return replace(facts, trained_for=loss)

    def layer_name(self, name: str) -> str:
        """The name itself: a layer has one path.

        Raises:
            LayerError: the model has no layer of this path, or it runs inside a loop.
        """
        check_reachable(name, walk(self.model), type(self.model).__name__)
        return name

    @on_its_device
    def capture(
        self,
        inputs: Any,
        layers: Sequence[str],
        direction: Direction | None = None,
        *,
        attention: Mapping[str, bool] = MappingProxyType({}),
        rules: Sequence[str] = (),
        parts: bool = False,
        reduce: Mapping[str, Reduction] = MappingProxyType({}),
    ) -> Capture:
        """One compiled forward pass, and one pull-back to layers and attentions; one more per rule but "plain"."""
        if direction is not None and not self.has_gradients:
            raise no_gradients()
        batch, survey = self._surveyed(inputs, layers)
        check_bends(self.model, rules)
        blocks = choose_blocks(self._blocks(batch) if attention else (), attention)
        asked = Asked.of(
            *(layers, differentiable_inputs(batch), rules, direction is not None, leaves_of(blocks, attention)),
            parts=survey.types if parts else (),
        )
        reducer = Reducer(reduce) if reduce else None
        forward = self._forward(batch, survey, asked, reducer)
        outputs = class_axis_first(forward.outputs, survey)
        kind = kind_of_outputs(outputs, survey)
        values = dict(zip(asked.read, forward.values, strict=True))
        more = parts_of(values, survey, self.output, batch.count)
        pulled: dict[str, dict[Leaf, np.ndarray | None]] = {}
        if direction is not None:
            given = direction(outputs, kind, more) if parts else direction(outputs, kind)
            rows = check_direction(given, outputs)
            with model_errors(batch):
                way = (forward, survey, self._traces, asked, rows)
                pulled = {rule: pull_back(*way, rule, reducer) for rule, _ in asked.pulls}
        arrays = tables_of(pulled) if reduce else arrays_of(values, pulled, blocks, rules, batch)
        return Capture(outputs, kind, input_size=survey.input_size, link=survey.link, parts=more, **arrays)

    @property
    def on_accelerator(self) -> bool:
        """Whether the first weight lies on one."""
        return any(map(self._engine.on_accelerator, [variable.value for variable in self.model.variables[:1]]))

    @of_power("attention")
    @on_its_device
    def attention(self, inputs: Any) -> tuple[AttentionFacts, ...]:
        """Every attention in the order in which it runs, as one more pass over the first image shows them."""
        return tuple(block.facts for block in self._blocks(prepare(self.model, inputs)))

    @of_power("second")
    @on_its_device
    def second(self, inputs: Any, layer: str, direction: Direction) -> np.ndarray:
        """The Hessian of each score times a layer's activations (N, K, *layer): one pass, one pull-back.

        That is the derivative of <G(A), A'> by the activations A, with G the gradient of the score and A' = A constant.
        It is zero where the score is piecewise linear in A.
        """
        batch, survey = self._surveyed(inputs, [layer])
        asked = Asked.second(layer)
        forward = self._forward(batch, survey, asked)
        outputs = class_axis_first(forward.outputs, survey)
        rows = check_direction(direction(outputs, kind_of_outputs(outputs, survey)), outputs)
        with model_errors(batch):
            return of_layers(pull_back(forward, survey, self._traces, asked, rows, SECOND))[layer]

    @of_power("biases")
    @on_its_device
    def biases(self, inputs: Any) -> Mapping[str, np.ndarray]:
        """What each layer has beyond its derivative times what it takes; two more runs of each, not compiled."""
        batch = prepare(self.model, inputs).first()
        return find_biases(self._engine, self.model, batch, self._surveys.of(batch), self.output, self._inline)

    @on_its_device
    def input_of(self, inputs: Any, layer: str) -> np.ndarray:
        """The first tensor that a layer takes in its first run, where the pass ends."""
        batch = prepare(self.model, inputs)
        eager = self._engine.eager(self.model, batch, self._inline)
        with model_errors(batch), preserved_model(self.model), eager as tensors:
            return self.to_numpy(taken_by(self.model, batch.structure, tensors, self.output, layer))

    @staticmethod
    def to_numpy(value: Any) -> np.ndarray:
        """A tensor or array as NumPy; floating-point ones as float32."""
        return floats(Backend.to_numpy(keras.ops.convert_to_numpy(value) if keras.ops.is_tensor(value) else value))

    def with_batch_axis(self, inputs: Any) -> Any:
        """A single array one axis short for the model gets a batch axis."""
        return with_batch_axis(self.model, inputs)

    def devices(self) -> tuple[str, ...]:
        """What the framework sees, as `keras.device` takes it; of torch, as `torch.device` does."""
        return self._engine.devices()

    def on_device(self, device: str) -> keras.Model:
        """The model where its weights lie on this device, else a copy, `copy.deepcopy(model)` in its scope."""
        if not self._engine.devices():
            super().on_device(device)
        return on_device(self._engine, self.model, device)

    @property
    def ready(self) -> bool:
        """Whether the model is built."""
        return bool(self.model.built)

    def compiled(self, count: int) -> Backend:
        """Refused: there is nothing to switch on."""
        raise BackendError(
            "backend 'keras' compiles all passes on TensorFlow and JAX as it is, and none on torch: leave compile out"
        )

    @on_its_device
    def weights_digest(self) -> Hashable:
        """The sums of the trainable variables, on JAX: a loop may keep the weights outside of the model."""
        return digest(self.model) if keras.backend.backend() == "jax" else None

    def weights_hash(self) -> str | None:
        """Of all weights in the model's order; None before it is built."""
        return hashed(self.model) if self.ready else None

    @contextlib.contextmanager
    def with_variables(self, variables: Any) -> Iterator[None]:
        """Explain with these values: (trainable, non-trainable) variables as `stateless_call` takes them."""
        with assigned(self.model, variables):
            yield

    @contextlib.contextmanager
    def undisturbed(self, source: Any = None) -> Iterator[None]:
        """Restore torch's random state and loader too, where torch is imported: Keras trains from its loaders."""
        with super().undisturbed(source), preserved_loader(source):
            yield

    @on_its_device
    def classifier_weights(self, inputs: Any, layer: str) -> np.ndarray:
        """The rows (classes, C) of the dense layer (or 1 x 1 convolution) that reads this layer's spatial mean.

        Raises:
            MethodError: there is none; found by the numbers of this batch, not by names.
        """
        batch, survey = self._surveyed(inputs, [layer])

        def search() -> str:
            forward = self._forward(batch, survey, Asked.of([layer]))
            grid = read(survey.facts, self.channels_last).grids.get(layer)
            if grid is None:
                raise no_map(layer, survey.specs[layer].shape, survey.input_size)
            features = grid.arrange(forward.values[0])
            return classifier_path(self.model, layer, features, forward.outputs, self.has_gradients)

        key = ("classifier", layer, self.output, batch.signature(with_batch=False))
        return dense_of(walk(self.model)[self._traces.get(key, search)]).weight

    @of_power("resume")
    @on_its_device
    def resume(self, inputs: Any, layer: str, activations: np.ndarray) -> np.ndarray:
        """Outputs (N*R, ...) computed from activations (N*R, ...) of a layer on, in the axes of `capture`; compiled."""
        return self._resumed(inputs, layer, activations, with_parts=False)[0]

    @of_power("resume_parts")
    @on_its_device
    def resume_parts(self, inputs: Any, layer: str, activations: np.ndarray) -> tuple[np.ndarray, Parts]:
        """`resume`, and all outputs of that pass as in `Capture.parts`."""
        return self._resumed(inputs, layer, activations, with_parts=True)

    def _resumed(self, inputs: Any, layer: str, activations: np.ndarray, with_parts: bool) -> tuple[np.ndarray, Parts]:
        batch, survey = self._surveyed(inputs, [layer])
        start = np.asarray(activations, np.float32)
        check_start(start, layer, survey, batch.count)
        asked = Asked.of([layer], parts=survey.types if with_parts else ())
        with model_errors(batch):
            outputs, *others = self._engine.resume(self._program(batch, survey, asked), self._traces, batch, start)
        values = dict(zip(asked.read[1:], others, strict=True))
        return class_axis_first(outputs, survey), parts_of(values, survey, self.output, len(start))

    @property
    def _inline(self) -> bool:
        """Whether passes trace the user's own compiled functions as plain ones; known after the survey."""
        return bool(self._traces.facts.get("inline"))

    def _surveyed(self, inputs: Any, layers: Sequence[str]) -> tuple[Inputs, Survey]:
        """The batch, and the survey for inputs of its form, in which these layers gave a tensor."""
        batch = prepare(self.model, inputs)
        survey = self._surveys.of(batch)
        check_layers(layers, survey, self.model)
        return batch, survey

    def _blocks(self, batch: Inputs) -> tuple[Block, ...]:
        """The attentions for inputs of this form, found by a pass like that of the survey."""
        self._surveys.of(batch)

        def make() -> tuple[Block, ...]:
            with model_errors(batch):
                return find_blocks(self._engine, self.model, batch, self.output, self._inline)

        blocks: tuple[Block, ...] = self._traces.get(("attention", self.output, batch.signature(False)), make)
        return blocks

    def _program(self, batch: Inputs, survey: Survey, asked: Asked) -> Program:
        return Program(weakref.ref(self.model), batch.structure, self.output, survey, asked)

    def _forward(self, batch: Inputs, survey: Survey, asked: Asked, reducer: Reducer | None = None) -> Forward:
        with model_errors(batch):
            more = () if reducer is None else (reducer,)  # which an engine without the power does not take
            forward = self._engine.forward(self._program(batch, survey, asked), self._traces, batch, *more)
        check_outputs(forward.outputs, batch.count, survey, self.output.axes is not None)
        return forward

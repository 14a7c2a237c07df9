"""Activations and gradients of PyTorch models, for the price of one forward pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from xaicore import Backend, Capture, Direction, Layer, check_direction
from xaicore.capture import Reduction
from xaicore.errors import BackendError, MethodError
from xaicore.facts import AttentionFacts, ByShape, Facts
from xaicore.layers import listing, read, split_run
from xaicore.outputs import Output
from xaicore_torch.answers import Chosen
from xaicore_torch.attention_pass import AttentionPass
from xaicore_torch.attention_survey import Known, survey_attention
from xaicore_torch.biases import find_biases
from xaicore_torch.classifier import DenseModule, as_dense, features, search_classifier, weight_is_computed
from xaicore_torch.compiled import CompiledPasses, copy_to_compile
from xaicore_torch.copies import Copies, to_host
from xaicore_torch.devices import devices, on_accelerator, on_device
from xaicore_torch.explained import Explained
from xaicore_torch.hashing import weights_hash
from xaicore_torch.hessian import differentiable_twice
from xaicore_torch.inputs import Inputs
from xaicore_torch.layout import find_module, layer_name, unwrap
from xaicore_torch.loader import preserved_loader
from xaicore_torch.passes import Mode, Passes, Recorded
from xaicore_torch.precision import in_precision
from xaicore_torch.pullback import by_layer
from xaicore_torch.pulls import Gradients, Pulls
from xaicore_torch.recorder import taken_by
from xaicore_torch.rectifiers import VisibleRectifiers
from xaicore_torch.resume import Middles
from xaicore_torch.state import preserved_model
from xaicore_torch.surveys import Surveys

__all__ = ["TorchBackend"]


class TorchBackend(Backend):
    """One `torch.nn.Module`, without its wrappers: DataParallel, DistributedDataParallel, torch.compile.

    Args:
        model: on any device, in any precision, frozen or training.
        output: which of several outputs is explained, an index or a name; or an `Output`, which names the axes of it,
            or reads it from the model's answer by a function in torch, through which gradients go.

    Raises:
        BackendError: the model is TorchScript.
    """

    name = "torch"
    powers = frozenset(
        {"attention", "biases", "guided", "input_gradients", "parts", "reduce", "resume", "resume_parts", "second"}
    )

    def __init__(self, model: nn.Module, output: int | str | Output | None = None) -> None:
        self.model = unwrap(model)
        if isinstance(self.model, torch.jit.ScriptModule):
            raise BackendError("a TorchScript model has no hooks: explain the model that it was made from")
        self.output = output
        self._explained = Explained(self.model, output)
        self._surveys = Surveys(self.model, self._explained)
        self._passes = Passes()
        self._pulls = Pulls(self.model)
        self._middles = Middles(self.model, self._explained.run_in_order)
        self._classifiers: dict[str, DenseModule] = {}
        self._attentions: ByShape[dict[str, Known]] = ByShape()

    def layers(self, inputs: Any) -> tuple[Layer, ...]:
        """Every layer in order of completion, from a pass over the first image."""
        return listing(self.observe(inputs))

    def observe(self, inputs: Any) -> Facts:
        """The facts of one pass over the first image, kept for inputs of the same shapes."""
        return self._surveys.observe(inputs)

    def layer_name(self, name: str) -> str:
        """The first of a module's names, without those of wrappers."""
        return layer_name(self.model, name)

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
        """One forward pass, recorded from the first of these layers on, and one pull-back to all of them.

        With rules it is recorded from the inputs on, and there is one pull-back more for "guided" and for "deconv". For
        layers alone an accelerator is waited for twice: for the outputs, and for the rest, if it fits into one pull.
        """
        self._middles.forget()
        modules = {name: find_module(self.model, split_run(name)[0]) for name in layers}
        batch, rules = self._prepare(inputs), rules if direction is not None else ()
        if self._surveys.is_empty:  # which shows the link and the classes of outputs
            self.observe(inputs)
        attentions = AttentionPass(self._known_attentions(inputs) if attention else {}, attention)
        modes: list[Mode] = [*attentions.modes]
        if {"guided", "deconv"} & set(rules):
            modes.append(VisibleRectifiers)
        with preserved_model(self.model, batch.picture.device), self._passes.pulled():
            recorded = self._record(batch, modules, direction is not None, modes, bool(rules), parts)
            outputs, tensors = self._explained.read(recorded.chosen.y), recorded.leaves.of("layer")
            others = self._explained.parts(recorded.chosen, batch.count) if parts else {}
            copies = Copies(() if reduce else tensors.values())  # on their way while the direction is chosen
            gradients: dict[str, np.ndarray] = {}
            reduced: dict[str, np.ndarray] = {}
            pulled: Gradients = {}
            of_inputs: dict[str, Gradients] = {}
            if direction is not None:
                more = (others,) if parts else ()
                rows = check_direction(direction(outputs.array, outputs.kind, *more), outputs.array)
                facts = self._surveys.known(batch)
                if reduce:
                    reduced = by_layer(self._pulls.reduced(recorded.leaves, outputs, rows, facts, reduce))
                else:
                    pulled, of_inputs = self._pulls.to(recorded.leaves, outputs, rows, facts, rules)
                    gradients = by_layer({name: pulled["layer", name] for name in tensors})
            activations = {} if reduce else dict(zip(tensors, copies.arrays(), strict=True))
            captured = attentions.captured(pulled)
        positions = range(len(batch.tensors))
        return Capture(
            outputs.array,
            outputs.kind,
            activations,
            batch.size,
            gradients,
            link="softmax" if outputs.link == "log_softmax" else outputs.link,
            attention=captured,
            input_gradients={rule: [one.get(("input", i)) for i in positions] for rule, one in of_inputs.items()},
            parts=others,
            reduced=reduced,
        )

    @property
    def on_accelerator(self) -> bool:
        """Whether the first weight lies on one with a memory of its own."""
        return on_accelerator(self.model)

    def weights_hash(self) -> str | None:
        """Of parameters and persistent buffers; None before a lazy layer has its weights."""
        return weights_hash(self.model)

    def biases(self, inputs: Any) -> Mapping[str, np.ndarray]:
        """What the innermost layers with weights answer to zeros, from a pass over the first image."""
        return find_biases(self.model, self._prepare(inputs).first())

    def attention(self, inputs: Any) -> tuple[AttentionFacts, ...]:
        """Every attention in the order in which it runs, from a pass over the first image."""
        return tuple(known.facts for known in self._known_attentions(inputs).values())

    def _known_attentions(self, inputs: Any) -> dict[str, Known]:
        is_one, batch = self.observe(inputs).count == 1, self._prepare(inputs)
        key = batch.image_shapes
        if key not in self._attentions:
            self._attentions[key] = survey_attention(
                self.model, batch.first() if is_one else batch, self._explained.run
            )
        return self._attentions[key]

    def resume(self, inputs: Any, layer: str, activations: np.ndarray) -> np.ndarray:
        """Outputs (N*R, ...) computed from activations (N*R, ...) of a layer on, in the axes of `capture`.

        Where the model cannot be started there, a warning says so, and all of it runs.
        """
        return self.resume_parts(inputs, layer, activations)[0]

    def resume_parts(
        self, inputs: Any, layer: str, activations: np.ndarray
    ) -> tuple[np.ndarray, Mapping[int | str, Sequence[np.ndarray]]]:
        """The same, and all parts of the answer, which are copied to the host when they are read."""
        module = find_module(self.model, split_run(layer)[0])
        batch = self._prepare(inputs)
        self.observe(inputs)  # outputs that are not recorded do not show their link
        self._middles.refresh(batch, layer)
        with preserved_model(self.model, batch.picture.device):
            given = torch.from_numpy(np.ascontiguousarray(activations, np.float32))
            y, chosen = self._middles.of(batch, layer, module).outputs(given)
            return self._explained.read_in_order(y).array, self._explained.parts(chosen, len(given))

    def second(self, inputs: Any, layer: str, direction: Direction) -> np.ndarray:
        """One forward pass, recorded from the layer on, and per target a backward pass and one through that."""
        modules, batch = {layer: find_module(self.model, split_run(layer)[0])}, self._prepare(inputs)
        self.observe(inputs)
        with preserved_model(self.model, batch.picture.device):
            recorded = self._record(batch, modules, True, [differentiable_twice])
            outputs = self._explained.read(recorded.chosen.y)
            rows = check_direction(direction(outputs.array, outputs.kind), outputs.array)
            return self._pulls.second(recorded.leaves, outputs, rows, self._surveys.known(batch))

    def input_of(self, inputs: Any, layer: str) -> np.ndarray:
        """The first tensor that a layer takes in its first run, where the pass ends; images are on the first axis."""
        batch, module = self._prepare(inputs), find_module(self.model, layer)
        with preserved_model(self.model, batch.picture.device):
            return to_host(taken_by(layer, module, lambda: self._explained.run(batch.clone())))

    @staticmethod
    def to_numpy(value: Any) -> np.ndarray:
        """A tensor or array as NumPy; floating-point tensors as float32."""
        if not isinstance(value, torch.Tensor):
            return Backend.to_numpy(value)
        return to_host(value) if value.is_floating_point() else value.detach().cpu().numpy()

    def with_batch_axis(self, inputs: Any) -> Any:
        """A single array one axis short for the first convolution gets a batch axis; a list of them is one array."""
        return self._surveys.with_batch_axis(inputs)

    def in_precision(self, precision: str) -> nn.Module:
        """A copy in this precision, with channels last in memory where the model convolves pictures."""
        return in_precision(self.model, precision)

    def devices(self) -> tuple[str, ...]:
        """The CPU and the accelerators, as `torch.device` takes them."""
        return devices()

    def on_device(self, device: str) -> nn.Module:
        """The model where its parameters and buffers lie on this device, else a copy, `model.to(device)`."""
        return on_device(self.model, device)

    def compiled(self, count: int) -> TorchBackend:
        """A backend of a copy that shares the weights; it runs batches of this many images by `torch.compile`."""
        other = type(self)(copy_to_compile(self.model), self.output)
        other._passes = CompiledPasses(other.model, count, other._explained.read)
        other._pulls = Pulls(other.model, is_batched=False)
        return other

    @property
    def ready(self) -> bool:
        """Whether no lazy layer waits for its first batch."""
        return not any(map(is_lazy, self.model.parameters()))

    @contextlib.contextmanager
    def undisturbed(self, source: Any = None) -> Iterator[None]:
        """Restore torch's random state too, and the workers and generators of a DataLoader."""
        with super().undisturbed(source), preserved_loader(source):
            yield

    def classifier_weights(self, inputs: Any, layer: str) -> np.ndarray:
        """The rows (classes, C) of the dense layer (or 1 x 1 convolution) that reads this layer's spatial mean.

        Raises:
            MethodError: no dense layer, whatever its name, computes the outputs from the layer's mean.
        """
        known = self._classifiers.get(layer)
        if known is None or weight_is_computed(known) or all(part is not known for part in self.model.modules()):
            batch = self._prepare(inputs)
            name = self.layer_name(split_run(layer)[0])
            module = find_module(self.model, name)
            grid = read(self.observe(inputs)).grids.get(name)
            if grid is None:
                raise MethodError(
                    f"CAM needs a layer whose axes the model itself shows, and {layer!r} is none: use "
                    "method='gradcam', which equals CAM where CAM exists"
                )
            with preserved_model(self.model, batch.picture.device):
                evidence = features(self._explained.run, batch.first(), layer, module, grid)
                if not evidence[0].any():  # zeros are of no use to the search
                    evidence = features(self._explained.run, batch, layer, module, grid)
                known = search_classifier(self.model, layer, *evidence)
                self._classifiers[layer] = known
                return as_dense(known).weight
        return as_dense(known).weight

    def _prepare(self, inputs: Any) -> Inputs:
        return self._surveys.prepare(inputs)

    def _record(
        self,
        batch: Inputs,
        modules: Mapping[str, nn.Module],
        with_gradients: bool,
        modes: Sequence[Mode] = (),
        from_inputs: bool = False,
        parts: bool = False,
    ) -> Recorded:
        """One pass: the outputs, with all parts or alone, and the tensors to differentiate by."""

        def run(batch: Inputs) -> Chosen:
            chosen = self._explained.chosen(batch)
            return chosen if parts else Chosen(chosen.y)

        passes = Passes() if parts else self._passes
        recorded = passes.record(run, batch, modules, self._surveys.runs, with_gradients, modes, from_inputs)
        self._surveys.runs.update(recorded.runs)
        recorded.check(modules)
        return recorded

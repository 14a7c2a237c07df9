"""Activations and gradients of PyTorch models, for the price of one forward pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from xaicore import Backend, BackendError, Capture, Direction, Layer, LayerError, XaicoreError, check_direction
from xaicore_torch.classifier import find_classifier
from xaicore_torch.inputs import Inputs, prepare, with_batch_axis
from xaicore_torch.layout import find_module, layout_is_plain, on_last_axis, unwrap
from xaicore_torch.loader import loader_parts, preserved_loader
from xaicore_torch.outputs import Outputs, choose, find_link, read, to_host
from xaicore_torch.pullback import pull_back, pull_in_half
from xaicore_torch.recorder import Recorder
from xaicore_torch.state import preserved_model
from xaicore_torch.survey import Survey

__all__ = ["TorchBackend"]


class TorchBackend(Backend):
    """One `torch.nn.Module`; wrappers (DataParallel, DistributedDataParallel, torch.compile) are looked through.

    Args:
        model: on any device, in any precision, frozen or training.
        output: which of several outputs is explained, an index or a name.

    Raises:
        BackendError: the model is TorchScript.
    """

    name = "torch"

    def __init__(self, model: nn.Module, output: int | str | None = None) -> None:
        self.model = unwrap(model)
        if isinstance(self.model, torch.jit.ScriptModule):
            raise BackendError("a TorchScript model has no hooks: explain the model that it was made from")
        self.output = output
        self._runs: dict[str, int] = {}
        self._channels_last: set[str] = set()
        self._link: str | None = None
        self._surveyed = False
        self._classifiers: dict[str, nn.Module] = {}

    def layers(self, inputs: Any) -> tuple[Layer, ...]:
        """Every layer in order of completion, seen on the first image."""
        return self._survey(prepare(self.model, inputs)).layers

    def capture(self, inputs: Any, layers: Sequence[str], direction: Direction | None = None) -> Capture:
        """One forward pass, recorded from the first of these layers on, and one pull-back to all of them."""
        modules = {name: find_module(self.model, name) for name in layers}
        given = prepare(self.model, inputs)
        if not self._surveyed and not self._can_do_without(modules):
            self._survey(given)
        with preserved_model(self.model, given.picture.device):
            y, kept = self._record(given, modules, direction is not None)
            outputs = read(y, self._link)
            gradients: dict[str, np.ndarray] = {}
            if direction is not None:
                rows = check_direction(direction(outputs.array, outputs.kind), outputs.array)
                gradients = self._pull(outputs, kept, rows) if kept else {}
            activations = {name: to_host(tensor) for name, tensor in kept.items()}
        for name, tensor in kept.items():
            if self._has_channels_last(name, modules[name], tensor):
                activations[name] = np.moveaxis(activations[name], -1, 1)
                if name in gradients:
                    gradients[name] = np.moveaxis(gradients[name], -1, 2)
        link = "softmax" if outputs.link == "log_softmax" else outputs.link
        return Capture(outputs.array, outputs.kind, activations, given.size, gradients, link)

    @staticmethod
    def to_numpy(value: Any) -> np.ndarray:
        """A tensor or array as NumPy; floating-point tensors as float32."""
        if not isinstance(value, torch.Tensor):
            return Backend.to_numpy(value)
        return to_host(value) if value.is_floating_point() else value.detach().cpu().numpy()

    def with_batch_axis(self, inputs: Any) -> Any:
        """A single array one axis short for the first convolution gets a batch axis."""
        return with_batch_axis(self.model, inputs)

    @property
    def ready(self) -> bool:
        """Whether no lazy layer waits for its first batch."""
        return not any(map(is_lazy, self.model.parameters()))

    @contextlib.contextmanager
    def undisturbed(self, source: Any = None) -> Iterator[None]:
        """Keep torch's random state too, and what a DataLoader has of its own."""
        with contextlib.ExitStack() as stack:
            for part in loader_parts(source):
                stack.enter_context(super().undisturbed(part))
            stack.enter_context(preserved_loader(source))
            yield

    def classifier_weights(self, inputs: Any, layer: str) -> np.ndarray:
        """The rows (classes, C) of the dense layer (or 1 x 1 convolution) that reads this layer's spatial mean.

        Raises:
            MethodError: there is none; seen on the first image, not guessed from the names.
        """
        known = self._classifiers.get(layer)
        if known is None or all(module is not known for module in self.model.modules()):
            given = prepare(self.model, inputs).first()
            module = find_module(self.model, layer)
            with preserved_model(self.model, given.picture.device):
                channels_last = layer in self._channels_last
                known = find_classifier(self.model, layer, module, channels_last, lambda: self._run(given))
            self._classifiers[layer] = known
        weights = to_host(known.weight)
        return weights.reshape(len(weights), -1).copy()

    def _can_do_without(self, modules: Mapping[str, nn.Module]) -> bool:
        """Whether a pass can go without a survey before it.

        Outputs show their own link only where they were recorded, and a layer's class does not always tell
        where its channels are.
        """
        return bool(modules) and all(layout_is_plain(self.model, module) for module in modules.values())

    def _has_channels_last(self, name: str, module: nn.Module, tensor: torch.Tensor) -> bool:
        return tensor.ndim > 3 and (on_last_axis(module) or name in self._channels_last)

    def _survey(self, given: Inputs) -> Survey:
        """A look at one image; at all of them where the model takes no batch of another size."""
        try:
            return self._look(given.first())
        except BackendError:
            if given.count == 1:
                raise
            return self._look(given)

    def _look(self, given: Inputs) -> Survey:
        with preserved_model(self.model, given.picture.device):
            survey = Survey(self.model, given.count, given.size)
            with torch.enable_grad(), survey.hooks:
                y = self._run(given.recording())
            _, self._link, _ = find_link(y)
        self._surveyed = True
        self._runs.update(survey.runs)
        self._channels_last = survey.channels_last
        return survey

    def _record(
        self, given: Inputs, modules: Mapping[str, nn.Module], with_gradients: bool
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The outputs and what to differentiate by; a second pass only where the first found out a surprise."""
        runs, recording = self._runs, False
        while True:
            recorder = Recorder(modules, runs)
            with recorder.hooks, torch.set_grad_enabled(recording):
                y = self._run(given)
            if recorder.expected_more:  # a reused layer ran less often than last time: record it from the first run
                runs = {}
                continue
            if with_gradients and recorder.kept and not y.requires_grad and not recording:
                recording = True  # a no_grad of the model's own put grad back off when it ended
                continue
            break
        self._runs.update(recorder.counts)
        missing = [name for name in modules if name not in recorder.kept]
        if missing:
            ran = missing[0] in recorder.counts
            raise LayerError(
                f"layer {missing[0]!r} gave no tensor"
                if ran
                else f"layer {missing[0]!r} never ran for this input: the model does not use it, or calls its "
                "forward() directly; see `layers` for those that run"
            )
        return y, recorder.kept

    def _run(self, given: Inputs) -> torch.Tensor:
        """The outputs proper, from one pass over a copy: some models write into their inputs."""
        if not self._surveyed and not self.ready:
            raise BackendError(
                f"{type(self.model).__name__} has lazy layers, whose weights are made by their first batch: run "
                "the model once before it is explained"
            )
        given = given.clone()
        try:
            answer = self.model(*given.args, **given.kwargs)
        except XaicoreError:
            raise
        except Exception as exc:
            raise BackendError(
                f"the model raised {type(exc).__name__} for inputs {given}: {exc}{self._hint()}"
            ) from exc
        return choose(answer, self.output, given.count)

    def _pull(self, outputs: Outputs, kept: Mapping[str, torch.Tensor], direction: np.ndarray) -> dict[str, np.ndarray]:
        """The direction (N, K, *O), pulled back to the layers: {layer: (N, K, *layer)}."""
        is_half = outputs.like.dtype == torch.float16

        def pull(direction: np.ndarray) -> list[np.ndarray | None]:
            leaves = list(kept.values())
            return pull_back(outputs.start, leaves, direction, like=outputs.like, retain_graph=is_half)

        try:
            gradients = pull_in_half(pull, direction) if is_half else pull(direction)
        except RuntimeError as exc:
            raise BackendError(f"no gradients at {', '.join(map(repr, kept))}: {exc}{self._hint()}") from exc
        unreached = [name for name, gradient in zip(kept, gradients, strict=True) if gradient is None]
        if unreached:
            raise LayerError(
                f"layer {', '.join(map(repr, unreached))} does not reach the outputs: its answer is not used (an "
                "in-place layer may be called for its effect alone), or what follows has no gradient (quantised "
                "layers, torch.utils.checkpoint with use_reentrant=True, or the model switches gradients off itself). "
                "Name another: layer=..."
            )
        return {name: gradient for name, gradient in zip(kept, gradients, strict=True) if gradient is not None}

    def _hint(self) -> str:
        """What else is the matter, where a message of torch's does not help."""
        if any(parameter.is_inference() for parameter in self.model.parameters()):
            return (
                "; the model's weights were created under torch.inference_mode(), which excludes gradients for "
                "good: build the model outside of it"
            )
        return ""

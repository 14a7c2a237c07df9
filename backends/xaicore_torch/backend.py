"""Activations and gradients of PyTorch models, for the price of one forward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.autograd.graph import GradientEdge

from xaicore import Backend, BackendError, Capture, Direction, Layer, LayerError, XaicoreError
from xaicore_torch.classifier import find_classifier
from xaicore_torch.inputs import Inputs, prepare
from xaicore_torch.layout import channels_last, find_module, unwrap
from xaicore_torch.outputs import Outputs, choose, find_link, read, to_host
from xaicore_torch.recorder import Recorder
from xaicore_torch.state import left_as_found
from xaicore_torch.survey import Survey

__all__ = ["TorchBackend"]

HALF_SCALE = 1024.0
"""Gradients in float16 lose what is below 6e-8: the pull-back runs on a multiple. 65536 would overflow."""


class TorchBackend(Backend):
    """One `torch.nn.Module`; wrappers (DataParallel, DistributedDataParallel, torch.compile) are looked through.

    Args:
        model: on any device, in any precision, frozen or training.
        output: which of several outputs is explained, an index or a name.
    """

    name = "torch"

    def __init__(self, model: nn.Module, output: int | str | None = None) -> None:
        self.model = unwrap(model)
        self.output = output
        self._runs: dict[str, int] = {}
        self._link: str | None = None
        self._surveyed = False
        self._writes_inputs: bool | None = None
        self._classifiers: dict[str, nn.Module] = {}

    def layers(self, inputs: Any) -> tuple[Layer, ...]:
        """Every layer in order of completion, seen on the first image."""
        return self._survey(prepare(self.model, inputs)).layers

    def capture(self, inputs: Any, layers: Sequence[str], direction: Direction | None = None) -> Capture:
        """One forward pass, recorded from the first of these layers on, and one pull-back to all of them."""
        modules = {name: find_module(self.model, name) for name in layers}
        given = prepare(self.model, inputs)
        if not modules and not self._surveyed:
            self._survey(given)  # nothing will be recorded, so the outputs cannot show their link themselves
        with left_as_found(self.model, given.picture.device):
            y, kept = self._record(given, modules, direction is not None)
            outputs = read(y, self._link)
            gradients: dict[str, np.ndarray] = {}
            if direction is not None:
                rows = _checked(direction(outputs.array, outputs.kind), outputs.array)
                gradients = self._pull(outputs, kept, rows) if kept else {}
            activations = {name: to_host(tensor) for name, tensor in kept.items()}
            for name in kept:
                if channels_last(modules[name], kept[name]):
                    activations[name] = np.moveaxis(activations[name], -1, 1)
                    if name in gradients:
                        gradients[name] = np.moveaxis(gradients[name], -1, 2)
        return Capture(outputs.array, outputs.kind, activations, given.size, gradients, outputs.link)

    @staticmethod
    def to_numpy(value: Any) -> np.ndarray:
        """A tensor or array as NumPy; floating-point tensors as float32."""
        if not isinstance(value, torch.Tensor):
            return np.asarray(value)
        return to_host(value) if value.is_floating_point() else value.detach().cpu().numpy()

    def classifier_weights(self, inputs: Any, layer: str) -> np.ndarray:
        """The rows (classes, C) of the dense layer (or 1 x 1 convolution) that reads this layer's spatial mean.

        Raises:
            MethodError: there is none; seen on the first image, not guessed from the names.
        """
        known = self._classifiers.get(layer)
        if known is None or all(module is not known for module in self.model.modules()):
            given = prepare(self.model, inputs).first()
            module = find_module(self.model, layer)
            with left_as_found(self.model, given.picture.device):
                known = find_classifier(self.model, layer, module, lambda: self._run(given))
            self._classifiers[layer] = known
        weights = to_host(known.weight)
        return weights.reshape(len(weights), -1)

    def _survey(self, given: Inputs) -> Survey:
        """A look at one image; at all of them where the model takes no batch of another size."""
        try:
            return self._look(given.first())
        except BackendError:
            if given.count == 1:
                raise
            return self._look(given)

    def _look(self, given: Inputs) -> Survey:
        given = given.recording()
        with left_as_found(self.model, given.picture.device):
            with torch.enable_grad(), Survey(self.model, given.count, given.size) as survey:
                y = self._run(given)
            _, self._link, _ = find_link(y)
        self._surveyed = True
        self._runs.update(survey.runs)
        return survey

    def _record(
        self, given: Inputs, modules: Mapping[str, nn.Module], with_gradients: bool
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The outputs and what to differentiate by; a second pass only where the first found out a surprise."""
        runs, recording = self._runs, False
        while True:
            with Recorder(modules, runs) as recorder, torch.set_grad_enabled(recording):
                y = self._run(given)
            if recorder.expected_more:  # a reused layer ran less often than last time: record it from its first run
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
        """The outputs proper, from one pass. The caller's input is never written to."""
        if self._writes_inputs is not False:  # not known yet, or known to
            given = given.clone()
        before = [tensor._version for tensor in given.tensors]
        try:
            answer = self.model(*given.args, **given.kwargs)
        except XaicoreError:
            raise
        except Exception as exc:
            raise BackendError(
                f"the model raised {type(exc).__name__} for inputs {given}: {exc}{self._hint()}"
            ) from exc
        self._writes_inputs = before != [tensor._version for tensor in given.tensors]
        return choose(answer, self.output, given.count)

    def _pull(
        self, outputs: Outputs, kept: Mapping[str, torch.Tensor], direction: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The direction (N, K, *O), pulled back to the layers: {layer: (N, K, *layer)}."""
        if not outputs.requires_grad:
            raise LayerError(
                f"{_names(kept)} does not reach the outputs, or the model switches gradients off itself"
            )
        scale = HALF_SCALE if outputs.dtype == torch.float16 else 1.0
        rows = torch.from_numpy(np.ascontiguousarray(direction.swapaxes(0, 1)) * np.float32(scale))
        rows = rows.to(outputs.device, outputs.dtype).reshape(-1, *outputs.shape)
        try:
            gradients = _differentiate(outputs.start, list(kept.values()), rows)
        except RuntimeError as exc:
            raise BackendError(f"no gradients at {_names(kept)}: {exc}{self._hint()}") from exc
        pulled = {}
        for name, gradient in zip(kept, gradients, strict=True):
            if gradient is None:
                raise LayerError(f"layer {name!r} does not reach the outputs, so nothing can be explained there")
            host = to_host(gradient)
            pulled[name] = np.moveaxis(host if scale == 1 else host / np.float32(scale), 0, 1)
        return pulled

    def _hint(self) -> str:
        """What else is the matter, where a message of torch's does not help."""
        if any(parameter.is_inference() for parameter in self.model.parameters()):
            return (
                "; the model's weights were created under torch.inference_mode(), which excludes gradients for "
                "good: build the model outside of it"
            )
        return ""


def _differentiate(
    start: torch.Tensor | GradientEdge, leaves: list[torch.Tensor], rows: torch.Tensor
) -> list[torch.Tensor | None]:
    """One backward pass for all K rows (K, N, *O): [(K, N, *leaf)], None where a leaf is not reached."""

    def pull(vector: torch.Tensor, batched: bool, again: bool) -> Sequence[torch.Tensor | None]:
        return torch.autograd.grad(
            [start], leaves, [vector], allow_unused=True, is_grads_batched=batched, retain_graph=again
        )

    if len(rows) == 1:
        return [None if gradient is None else gradient[None] for gradient in pull(rows[0], False, False)]
    try:
        return list(pull(rows, True, True))
    except RuntimeError:  # an operation that cannot be batched: one row at a time
        parts = zip(*(pull(row, False, True) for row in rows), strict=True)
        return [None if part[0] is None else torch.stack(part) for part in parts]


def _checked(direction: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    direction = np.asarray(direction, np.float32)
    if direction.ndim != outputs.ndim + 1 or direction.shape[:1] + direction.shape[2:] != outputs.shape:
        raise BackendError(
            f"direction gave shape {direction.shape} for outputs {outputs.shape}; expected (N, K, *O)"
        )
    return direction


def _names(layers: Mapping[str, Any]) -> str:
    return ("layer " if len(layers) == 1 else "layers ") + ", ".join(map(repr, layers))

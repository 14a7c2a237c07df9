"""torch: as `xaicore_torch` does it; only what follows the layer is recorded.

Keras' layers are torch modules here, so that the model's state is kept by the very code that keeps it for models of
plain torch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from xaicore_keras.engines import Engine, Forward, Run
from xaicore_keras.inputs import Inputs
from xaicore_keras.run import Program
from xaicore_keras.state import left_as_found
from xaicore_keras.traces import Traces
from xaicore_torch.outputs import find_link, to_host
from xaicore_torch.pullback import differentiate
from xaicore_torch.state import left_as_found as torch_left_as_found
from xaicore_torch.state import may_write

__all__ = ["TorchEngine"]


class TorchEngine(Engine):
    """See the module."""

    def look(self, run: Run, model: Any, given: Inputs, inlined: bool) -> tuple[Any, str | None]:
        """A pass over the given images, recorded, since the record names the last operation."""
        tensors = [t.requires_grad_(t.is_floating_point()) for t in _tensors(given)]
        with torch_left_as_found(model, tensors[0].device, _is_foreign), torch.enable_grad():
            y = run([t.clone() for t in tensors], None)  # a leaf must not be written into, as some models do
            link = find_link(y)[1]
        return y, "softmax" if link == "log_softmax" else link

    def outside(self) -> contextlib.AbstractContextManager[Any]:
        """Parameters made in inference mode could never be trained."""
        return torch.inference_mode(False)

    def forward(self, program: Program, traces: Traces, given: Inputs, layers: Sequence[str], pulls: bool) -> Forward:
        """One pass. A model that switches grad off itself, around a frozen part, is recorded from the start."""
        recording = False
        while True:
            kept: dict[str, torch.Tensor] = {}
            taps = {name: _keeper(kept, name, pulls) for name in layers}
            tensors = _tensors(given)
            with left_as_found(program.model()), torch_left_as_found(program.model(), tensors[0].device, _is_foreign):
                with torch.set_grad_enabled(recording):
                    y = program(tensors, taps)
            if not pulls or y.requires_grad or recording:
                break
            recording = True
        leaves = [kept[name] for name in layers]

        def pull(direction: np.ndarray) -> list[np.ndarray | None]:
            if not y.requires_grad:
                return [None] * len(leaves)
            rows = torch.from_numpy(np.ascontiguousarray(direction.swapaxes(0, 1))).to(y.device, y.dtype)
            with torch.inference_mode(False):
                gradients = differentiate(y, leaves, rows, again=True)
            return [None if g is None else np.moveaxis(to_host(g), 0, 1) for g in gradients]

        return Forward(to_host(y).copy(), [to_host(leaf) for leaf in leaves], pull)

    def resume(
        self, program: Program, traces: Traces, given: Inputs, layer: str, activations: np.ndarray
    ) -> np.ndarray:
        """The recorded operations of a run, less those that only led to the activations.

        Where a model does what cannot be recorded, all of it runs, and the activations replace what it computed.
        """
        tensors = _tensors(given)
        start = torch.from_numpy(activations).to(tensors[0].device)
        repeats = len(activations) // given.count

        def run(start: torch.Tensor, *tensors: torch.Tensor) -> torch.Tensor:
            rows = [t.repeat_interleave(repeats, 0) if t.ndim else t for t in tensors]
            with left_as_found(program.model()), torch_left_as_found(program.model(), start.device, _is_foreign):
                return program(rows, {layer: lambda t: start.to(t.dtype)}).float()

        def record() -> Callable[..., torch.Tensor]:
            try:
                return _without_dead_code(run, start, *tensors)
            except Exception:  # whatever recording trips over: control flow by values, foreign code
                return run

        key = ("resume", layer, activations.shape, program.output, given.signature(True))
        step = traces.get(key, record)
        with torch.inference_mode(False), torch.no_grad():
            return to_host(step(start, *tensors))


def _without_dead_code(run: Callable[..., torch.Tensor], *arguments: torch.Tensor) -> Callable[..., torch.Tensor]:
    """The operations of a run as a graph. In-place ones are never dropped, so it is made functional first."""
    pure = torch.func.functionalize(run, remove="mutations_and_views")
    graph = make_fx(pure, tracing_mode="fake", _allow_non_fake_inputs=True)(*arguments)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def _keeper(kept: dict[str, torch.Tensor], name: str, pulls: bool) -> Callable[[torch.Tensor], torch.Tensor]:
    """Keeps a copy, so that what the model still writes into its own tensors is not seen.

    With `pulls`, the first layer's is cut off as a leaf and recording begins. Behind it nothing is cut, else the
    first would lose its gradient.
    """

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[name] = tensor.clone()
        if not pulls:
            return tensor
        if not (tensor.requires_grad and len(kept) > 1):
            kept[name] = kept[name].detach().requires_grad_(tensor.is_floating_point())
        torch.set_grad_enabled(True)
        return kept[name].clone()

    return keep


@torch.inference_mode(False)  # so that copies can be recorded, whatever mode the caller is in
@torch.no_grad()
def _tensors(given: Inputs) -> list[torch.Tensor]:
    """Copies on the device that Keras uses: some models write into their inputs."""
    return [keras.ops.convert_to_tensor(t).detach().clone() for t in given.tensors]


def _is_foreign(module: torch.nn.Module) -> bool:
    """Whether a module inside of the model is no layer of Keras', whose state is kept elsewhere."""
    return may_write(module) and not isinstance(module, keras.Layer)

"""torch: as `xaicore_torch` does it; only what follows the layer is recorded.

Keras' layers are torch modules here, so xaicore_torch restores the state of the torch modules inside of them.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import torch

from xaicore.recording import arrivals
from xaicore_keras.asked import Leaf, Tap
from xaicore_keras.calls import Call, Recorder
from xaicore_keras.engine import Engine, Forward, Run
from xaicore_keras.engines.torch_rules import applied, nodes, second
from xaicore_keras.inputs import Inputs
from xaicore_keras.private import is_shut
from xaicore_keras.reducer import Reducer
from xaicore_keras.rules import RELU_RULES, SECOND, hidden_relus, no_relus
from xaicore_keras.run import Program
from xaicore_keras.seen import Flow, Seen, mixture
from xaicore_keras.state import preserved_model
from xaicore_keras.traces import Traces
from xaicore_torch import tools

__all__ = ["TorchEngine"]


class TorchEngine(Engine):
    """Runs models as they are, with gradients by autograd."""

    powers = Engine.powers | {"guided", "reduce", "second"}

    def devices(self) -> tuple[str, ...]:
        """As torch names them."""
        return tools.devices()

    def device_of(self, tensor: Any) -> str | None:
        """As torch names it, without the number that "mps" has no need of."""
        return "mps" if tensor.device.type == "mps" else str(tensor.device)

    def survey(self, run: Run, model: Any, batch: Inputs, inline: bool, recorder: Recorder) -> Seen:
        """A pass over the values, recorded, since the record names the last operation."""
        tensors = [t.requires_grad_(t.is_floating_point()) for t in _tensors(batch)]
        with (
            tools.preserved_model(model, tensors[0].device, _is_mutable),
            tools.recorded_weights(model),
            torch.enable_grad(),
        ):
            y = run([t.clone() for t in tensors], None)  # some models write into their inputs, and a leaf refuses it
            outputs = [call.output for call in recorder.calls]
            pulls = [functools.partial(_pull, call.input, tensors) for call in recorder.calls]
            among = [functools.partial(_among, output) for output in outputs]
            takes = _takes([call.input for call in recorder.calls], tensors)
            flows = zip(_reads(outputs, tensors), _reached(y, outputs), pulls, among, takes, strict=True)
            return Seen(y, tools.link_of(y), [Flow(*flow) for flow in flows])

    def isolated(self) -> contextlib.AbstractContextManager[Any]:
        """Not in inference mode, where no trainable parameter can be made."""
        return torch.inference_mode(False)

    @contextlib.contextmanager
    def eager(self, model: Any, batch: Inputs, inline: bool) -> Iterator[list[torch.Tensor]]:
        """Nothing is recorded, and the modules are restored."""
        tensors = _tensors(batch)
        with self.isolated(), tools.preserved_model(model, tensors[0].device, _is_mutable):
            yield tensors

    def forward(self, program: Program, traces: Traces, batch: Inputs, reducer: Reducer | None = None) -> Forward:
        """One pass. A model that switches grad off itself, around a frozen part, is recorded from the start."""
        asked, recording = program.asked, False
        while True:
            taken: dict[Leaf, torch.Tensor] = {}
            starts: list[torch.Tensor] = []
            taps = {leaf: _tap(taken, leaf, starts if leaf in asked.pulled else None) for leaf in asked.leaves}
            tensors = _tensors(batch)
            is_second = any(rule == SECOND for rule, _ in asked.pulls)
            twice = tools.twice_differentiable() if is_second else contextlib.nullcontext()
            with _preserved(program, tensors), torch.set_grad_enabled(recording), twice:
                y = program(tensors, taps)
            if not asked.pulls or y.requires_grad or recording:
                break
            recording = True

        if asked.has_rules and any(map(is_shut, nodes(y))):
            raise hidden_relus(program.model(), "a scripted, compiled or recomputed part")

        def pull(direction: np.ndarray, rule: str, scale: np.float32 | None = None) -> list[np.ndarray | None]:
            ends = [taken[leaf] for leaf in asked.ends(rule)]
            if reducer is not None:
                reduce = functools.partial(_tables, reducer, asked.ends(rule), ends, scale)
                return tools.pull_back(y, ends, direction, reduce=reduce)
            if rule == SECOND:
                return [second(y, end, direction) for end in ends]
            if rule not in RELU_RULES:
                return tools.pull_back(y, ends, direction)
            with applied(y, rule) as count:
                if not count:
                    raise no_relus(program.model(), rule)
                return tools.pull_back(y, ends, direction)

        stay = {leaf for leaf in asked.read if reducer is not None and reducer.keeps(leaf)}
        values = [taken[leaf] if leaf in stay else tools.to_host(taken[leaf]) for leaf in asked.read]
        return Forward(tools.to_host(y).copy(), values, pull)

    def on_accelerator(self, weight: Any) -> bool:
        """MPS is none here, which shares the CPU's memory and has no float64."""
        return weight.device.type in ("cuda", "xpu")

    def resume(self, program: Program, traces: Traces, batch: Inputs, activations: np.ndarray) -> list[np.ndarray]:
        """The recorded operations of a pass, less those that only led to the activations.

        Where a model cannot be recorded, all of it runs, and the activations replace what it computed.
        """
        tensors, (leaf, *others) = _tensors(batch), program.asked.read
        start = torch.from_numpy(activations).to(tensors[0].device)
        repeats = len(activations) // batch.count

        def run(start: torch.Tensor, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            taken: dict[Leaf, torch.Tensor] = {}
            rows = [t.repeat_interleave(repeats, 0) if t.ndim else t for t in tensors]
            taps: dict[Leaf, Tap] = {other: functools.partial(taken.__setitem__, other) for other in others}
            with _preserved(program, tensors):
                y = program(rows, {leaf: lambda t: start.to(t.dtype), **taps})
            return tuple(tensor.float() for tensor in (y, *(taken[other] for other in others)))

        def record() -> Callable[..., tuple[torch.Tensor, ...]]:
            try:
                return tools.traced(run, start, *tensors)
            except Exception:  # any that recording raises: control flow by values, foreign code
                return run

        key = ("resume", program.asked, activations.shape, program.output, batch.signature(True))
        step = traces.get(key, record)
        with torch.inference_mode(False), torch.no_grad():
            return [tools.to_host(tensor) for tensor in step(start, *tensors)]

    def pushed(self, function: Callable[[Any], Any], tensor: Any) -> tuple[Any, Any]:
        """By `torch.func.jvp`."""
        return tools.pushed(function, tensor)


@torch.no_grad()
def _tables(
    reducer: Reducer,
    ends: Sequence[Leaf],
    tensors: Sequence[torch.Tensor],
    scale: np.float32 | None,
    gradients: Sequence[torch.Tensor | None],
) -> list[torch.Tensor | None]:
    """Tables (K, rows, L) for gradients (K, *layer)."""
    moved = [None if gradient is None else gradient.float().movedim(0, 1) for gradient in gradients]
    tables = reducer.tables(torch, ends, [tensor.detach().float() for tensor in tensors], moved, scale)
    return [None if table is None else table.movedim(1, 0) for table in tables]


def _reads(outputs: Sequence[torch.Tensor], inputs: Sequence[torch.Tensor]) -> list[tuple[int, ...] | None]:
    """The inputs that each output depends on; not known where a picture of integers is among them."""
    if any(tensor.ndim > 2 and not tensor.requires_grad for tensor in inputs):
        return [None] * len(outputs)
    origins = tools.Origins(inputs)
    return [origins.of(output.grad_fn) for output in outputs]


def _takes(taken: Sequence[Any], inputs: Sequence[torch.Tensor]) -> list[tuple[int, ...] | None]:
    """The inputs that what a call took depends on; not known where it was not recorded."""
    origins = tools.Origins(inputs)
    is_weight = [isinstance(tensor, torch.nn.Parameter) for tensor in taken]
    nodes = [None if tensor is None else tensor.grad_fn for tensor in taken]
    return [
        () if weight else None if node is None else origins.of(node)
        for weight, node in zip(is_weight, nodes, strict=True)
    ]


def _among(output: torch.Tensor, calls: Sequence[Call]) -> tuple[int, ...] | None:
    """The calls whose outputs this one depends on; None where it was not recorded."""
    nodes = {call.output.grad_fn: i for i, call in enumerate(calls)}
    return None if output.grad_fn is None else tools.Origins(nodes=nodes).of(output.grad_fn)


def _reached(y: torch.Tensor, outputs: Sequence[torch.Tensor]) -> list[dict[int, list[bool]] | None]:
    """Where the gradient of a mixture of y arrives."""
    ends = [output for output in outputs if output.requires_grad]
    if not y.requires_grad or not ends:
        return [None] * len(outputs)
    weights = torch.from_numpy(mixture(y.shape)).to(y.device, y.dtype)
    try:
        gradients = iter(tools.grad_of_mixture(y, ends, weights, retain_graph=True))
    except RuntimeError:  # an operation without a gradient: nothing is known of what lies before it
        return [None] * len(outputs)
    return [_arrivals(next(gradients)) if output.requires_grad else None for output in outputs]


def _pull(taken: Any, inputs: Sequence[torch.Tensor], i: int, weights: np.ndarray) -> np.ndarray | None:
    """The gradient at input i of the sum of weights * taken; None where autograd has none."""
    if taken is None or not taken.requires_grad or not inputs[i].requires_grad:
        return None
    direction = torch.from_numpy(weights).to(taken.device, taken.dtype)
    try:
        (gradient,) = torch.autograd.grad([taken], [inputs[i]], [direction], retain_graph=True)
    except RuntimeError:  # it is made of other inputs, by an operation without a gradient, or was written to
        return None
    return tools.to_host(gradient)


def _arrivals(gradient: torch.Tensor | None) -> dict[int, list[bool]]:
    return {} if gradient is None else arrivals((gradient != 0).cpu().numpy())


@contextlib.contextmanager
def _preserved(program: Program, tensors: Sequence[torch.Tensor]) -> Iterator[None]:
    model = program.model()
    with preserved_model(model), tools.preserved_model(model, tensors[0].device, _is_mutable):
        yield


def _tap(taken: dict[Leaf, torch.Tensor], leaf: Leaf, starts: list[torch.Tensor] | None) -> Tap:
    """Takes a copy, so that what the model still writes into its own tensors is not seen.

    A leaf that is pulled back to has `starts`, a list that all of them share. The first one's copy becomes a leaf of
    autograd, and recording begins. No later one does, or the first would lose its gradient.
    """

    def tap(tensor: torch.Tensor) -> torch.Tensor:
        taken[leaf] = tensor.clone()
        if starts is None:
            return tensor
        if not (tensor.requires_grad and starts):
            taken[leaf] = taken[leaf].detach().requires_grad_(tensor.is_floating_point())
            starts.append(taken[leaf])
        torch.set_grad_enabled(True)
        return taken[leaf].clone()

    return tap


@torch.inference_mode(False)  # so that copies can be recorded, whatever mode the caller is in
@torch.no_grad()
def _tensors(batch: Inputs) -> list[torch.Tensor]:
    """Copies on the device that Keras uses; copies, because some models write into their inputs."""
    return [keras.ops.convert_to_tensor(t).detach().clone() for t in batch.tensors]


def _is_mutable(module: torch.nn.Module) -> bool:
    """Whether xaicore_torch restores a module's attributes: those of Keras' layers are restored by `state`."""
    return tools.may_mutate(module) and not isinstance(module, keras.Layer)

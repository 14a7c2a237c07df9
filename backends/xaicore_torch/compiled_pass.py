"""One recorded pass, traced and compiled for one shape of batches.

What autograd records of a compiled graph begins at its inputs and ends at its outputs: a layer's output in the middle
is nothing to differentiate by. The traced function has one more input per layer, a shift that is added to the layer's
output and is zero: the gradient at the shift is the gradient at the layer.

    y, activations = traced(tensors, shifts)

Weights are frozen and inputs are no leaves, so the compiler keeps only what the gradients at the shifts need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from xaicore import BackendError
from xaicore.layers import split_run
from xaicore_torch.answers import Chosen
from xaicore_torch.hooks import Hooks
from xaicore_torch.inputs import Inputs
from xaicore_torch.leaves import Leaves
from xaicore_torch.outputs import Outputs, replace_first_tensor
from xaicore_torch.passes import Recorded
from xaicore_torch.private import compiling, write_count
from xaicore_torch.state import recorded_weights

__all__ = ["CompiledPass"]


class CompiledPass:
    """Runs a model compiled, in place of `record`; it is compiled by its first run.

    Args:
        model: its weights are frozen.
        run: runs the model; gives what is explained.
        batch: of the only shapes that the pass takes.
        modules: {layer: module}.
        plain: the same pass as recorded without a compiler.
        with_gradients: whether passes are to be pulled back.
        compiler: the backend of `torch.compile`.
    """

    def __init__(
        self,
        model: nn.Module,
        run: Callable[[Inputs], Chosen],
        batch: Inputs,
        modules: Mapping[str, nn.Module],
        plain: Recorded,
        with_gradients: bool,
        compiler: str,
    ) -> None:
        layers = plain.leaves.of("layer")
        self._runs, self._names = plain.runs, list(layers)
        self._zeros = [torch.zeros_like(tensor) for tensor in layers.values()]  # with their layout
        self._with_gradients = with_gradients
        shifted = _Shifted(model, run, batch, modules, {name: plain.runs[name] for name in layers})
        with torch.enable_grad(), recorded_weights(model):  # as attention runs where it is recorded
            program = torch.export.export(shifted, (batch.clone().tensors, self._shifts()), strict=False)
        self._module = program.module()
        self._compiled = torch.compile(self._module, backend=compiler, fullgraph=True, dynamic=False)

    def run(self, batch: Inputs) -> Recorded:
        """One pass over a batch, as `record` returns it."""
        shifts = self._shifts()
        with torch.set_grad_enabled(self._with_gradients), compiling():
            y, activations = self._compiled(batch.clone().tensors, shifts)
        leaves = Leaves()
        for name, shift, activation in zip(self._names, shifts, activations, strict=True):
            shift.data = activation  # a leaf has the layer's values; no gradient depends on those of a shift
            leaves.tensors["layer", name] = shift
        return Recorded(Chosen(y), leaves, self._runs)

    def check(self, batch: Inputs, plain: Recorded, read: Callable[[torch.Tensor], Outputs]) -> None:
        """Compare outputs, activations and gradients with those of the pass that was not compiled.

        Raises:
            BackendError: they differ by more than rounding, or mean something else.
        """
        buffers = list(self._module.buffers())
        before = [write_count(buffer) for buffer in buffers]
        found = self.run(batch)
        if before != [write_count(buffer) for buffer in buffers]:
            raise BackendError("the model writes to its buffers in a pass, which then depends on those before it")
        ours, theirs = read(plain.chosen.y), read(found.chosen.y)
        if (ours.kind, ours.link) != (theirs.kind, theirs.link):
            raise BackendError(
                f"the model ends in a {ours.link or 'function'}, behind which a compiled pass does not show its "
                "logits: explain a model that returns them"
            )
        _check_equal("outputs", plain.chosen.y, found.chosen.y)
        pairs = zip(self._names, plain.leaves.tensors.values(), found.leaves.tensors.values(), strict=True)
        for name, one, other in pairs:
            _check_equal(f"activations of {name!r}", one, other)
        if self._with_gradients:
            for name, *both in zip(self._names, _pulled(plain), _pulled(found), strict=True):
                _check_equal(f"gradients at {name!r}", *both)

    def _shifts(self) -> list[torch.Tensor]:
        """Leaves that are zero; they share their memory with those of other passes."""
        return [zeros.detach().requires_grad_(self._with_gradients) for zeros in self._zeros]


class _Shifted(nn.Module):
    """The function that is traced.

    Args:
        model, run, modules: as in `CompiledPass`.
        batch: what surrounds the tensors that a pass takes.
        runs: {layer: how often it runs}.
    """

    def __init__(
        self,
        model: nn.Module,
        run: Callable[[Inputs], Chosen],
        batch: Inputs,
        modules: Mapping[str, nn.Module],
        runs: Mapping[str, int],
    ) -> None:
        super().__init__()
        self.model = model  # its weights are those of the traced graph
        self._run, self._batch = run, batch
        self._hooked = list(modules.items())  # a dict of modules would be looked through for weights
        self._shifted_run = {name: _shifted_run(name, count) for name, count in runs.items()}

    def forward(
        self, tensors: Sequence[torch.Tensor], shifts: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        shift_of = dict(zip(self._shifted_run, shifts, strict=True))
        runs = dict.fromkeys(shift_of, 0)
        kept: dict[str, torch.Tensor] = {}

        def shift(name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            runs[name] += 1
            if runs[name] != self._shifted_run[name]:
                return None

            def add(tensor: torch.Tensor) -> torch.Tensor:
                kept[name] = tensor.detach()
                return tensor + shift_of[name]

            return replace_first_tensor(output, add)

        with Hooks(dict(self._hooked), shift):
            y = self._run(self._batch.having(tensors)).y
        return y, [kept[name] for name in shift_of]


def _shifted_run(name: str, count: int) -> int:
    """Which run of a layer is explained: the last one, unless its name chooses another."""
    _, chosen = split_run(name)
    return chosen if isinstance(chosen, int) else count


def _pulled(recorded: Recorded) -> list[torch.Tensor | None]:
    """Random numbers pulled back, the same ones for every pass."""
    y = recorded.chosen.y
    if not y.requires_grad:
        return [None] * len(recorded.leaves.tensors)
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(y.shape, generator=generator).to(y.device, y.dtype)
    leaves = list(recorded.leaves.tensors.values())
    return list(torch.autograd.grad(y, leaves, vector, retain_graph=True, allow_unused=True))


def _check_equal(what: str, plain: torch.Tensor | None, found: torch.Tensor | None) -> None:
    """Compare two results by the norm of each image's difference.

    Rounding differs by the order of operations, and half precision is kept in between where a compiler joins several:
    the root of what a type can tell apart lies far above that, and far below what any wrong operation makes.

    Raises:
        BackendError: they differ.
    """
    if plain is None or found is None:
        if plain is not found:
            raise BackendError(f"the compiled pass has {'no ' if found is None else ''}{what}, unlike the model itself")
        return
    one, other = (tensor.detach().double().flatten() for tensor in (plain, found))
    apart = float((one - other).norm()) / max(float(one.norm()), torch.finfo(torch.float32).tiny)
    allowed = 4 * torch.finfo(plain.dtype).eps ** 0.5 if plain.is_floating_point() else 0.0
    if plain.shape != found.shape or not apart <= allowed:
        raise BackendError(
            f"the {what} of the compiled pass differ from those of the model itself by {apart:.2g} of their norm, and "
            f"rounding explains {allowed:.2g}: it draws random numbers, or the compiler errs"
        )

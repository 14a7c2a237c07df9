"""One recorded pass of a model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from xaicore import LayerError
from xaicore.layers import never_ran
from xaicore_torch.answers import Chosen
from xaicore_torch.inputs import Inputs
from xaicore_torch.leaves import Leaves
from xaicore_torch.origins import Origins
from xaicore_torch.recorder import Recorder, check_run

__all__ = ["Mode", "Passes", "Recorded"]

Mode = Callable[[Leaves], contextlib.AbstractContextManager[Any]]
"""`mode(leaves)` surrounds a forward pass, such as a function mode that keeps leaves of its own. It is made anew where
the pass is repeated."""


@dataclass(frozen=True)
class Recorded:
    """One pass: what it answered, its leaves, and {layer: how often it ran}."""

    chosen: Chosen
    leaves: Leaves
    runs: Mapping[str, int]

    def check(self, layers: Iterable[str]) -> None:
        """Check that these layers ran, as often as their names say, and gave tensors.

        Raises:
            LayerError: one did not.
        """
        for name in layers:
            if name not in self.runs:
                raise never_ran(name)
            check_run(name, self.runs[name])
            if ("layer", name) not in self.leaves.tensors:
                raise LayerError(f"layer {name!r} gave no tensor")


class Passes:
    """Records passes of a model."""

    def record(
        self,
        run: Callable[[Inputs], Chosen],
        batch: Inputs,
        modules: Mapping[str, nn.Module],
        expected_runs: Mapping[str, int],
        with_gradients: bool,
        modes: Sequence[Mode] = (),
        from_inputs: bool = False,
    ) -> Recorded:
        """One pass that keeps these layers as leaves. It is repeated where it was recorded wrongly.

        That is where a layer ran less often than it did before, or where the model's own no_grad switched grad off.

        Args:
            run: runs the model; gives what is explained.
            batch: what it takes; a pass gets copies.
            modules: {layer: module}.
            expected_runs: see `Recorder`.
            with_gradients: whether the pass is to be pulled back.
            modes: what surrounds it.
            from_inputs: the inputs are leaves, too.
        """
        is_recording = False
        while True:
            leaves = Leaves()
            recorder = Recorder(modules, expected_runs, leaves)
            with contextlib.ExitStack() as stack:
                stack.enter_context(recorder.hooks)
                stack.enter_context(torch.set_grad_enabled(is_recording))
                for mode in modes:
                    stack.enter_context(mode(leaves))
                if from_inputs and is_recording:
                    stack.enter_context(_RecordsAll())
                chosen = run(batch.kept(leaves) if from_inputs else batch.clone())
                is_cut = leaves.are_cut or not torch.is_grad_enabled() or _is_apart(chosen.y, leaves)
            if recorder.missed_a_run:
                expected_runs = {}
                continue
            if with_gradients and leaves.tensors and is_cut and not is_recording:
                is_recording = True
                continue
            return Recorded(chosen, leaves, recorder.runs)

    def pulled(self) -> contextlib.AbstractContextManager[Any]:
        """Surrounds a pass and what is pulled back through it, perhaps several times."""
        return contextlib.nullcontext()


def _is_apart(y: torch.Tensor, leaves: Leaves) -> bool:
    """Whether the outputs do not depend on the inputs, where these are leaves, or on no leaf."""
    inputs = list(leaves.of("input").values())
    return not Origins(inputs).of(y.grad_fn) if inputs else not y.requires_grad


class _RecordsAll(TorchFunctionMode):
    """Records every operation, also those under the model's own no_grad."""

    def __init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with torch.enable_grad():
            return func(*args, **(kwargs or {}))

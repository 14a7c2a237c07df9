"""Passes that `torch.compile` compiles, for batches of one size."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import nn

from xaicore import BackendError, XaicoreError
from xaicore_torch.answers import Chosen
from xaicore_torch.compiled_pass import CompiledPass
from xaicore_torch.inputs import Inputs
from xaicore_torch.outputs import Outputs
from xaicore_torch.passes import Mode, Passes, Recorded
from xaicore_torch.private import kept_for_several_pulls

__all__ = ["CompiledPasses", "copy_to_compile"]


class CompiledPasses(Passes):
    """Passes of a model over batches of `count` images run compiled.

    Whether a pass runs compiled depends on the shapes of its batch alone, and not on what ran before: a run that is
    resumed makes the same values. Those of other sizes are recorded plainly, and those that record attention, inputs
    or second derivatives.

    The first batch of each shape runs both ways. Where the two differ by more than rounding, it is refused.

    Args:
        model: see `copy_to_compile`.
        count: images in the batches that run compiled.
        read: reads outputs.
    """

    compiler: ClassVar[str] = "inductor"
    """The backend of `torch.compile`."""

    def __init__(self, model: nn.Module, count: int, read: Callable[[torch.Tensor], Outputs]) -> None:
        self._model, self._count, self._read = model, count, read
        self._compiled: dict[Hashable, CompiledPass | BackendError] = {}

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
        """As in `Passes`."""
        if batch.count != self._count or modes or from_inputs or not modules:
            return super().record(run, batch, modules, expected_runs, with_gradients, modes, from_inputs)
        key = (batch.image_shapes, tuple(t.dtype for t in batch.tensors), tuple(modules), with_gradients)
        if key not in self._compiled:
            plain = super().record(run, batch, modules, expected_runs, with_gradients)
            self._compiled[key] = self._compile(run, batch, modules, plain, with_gradients)
        found = self._compiled[key]
        if isinstance(found, BackendError):
            raise found
        return found.run(batch)

    def pulled(self) -> contextlib.AbstractContextManager[Any]:
        """As in `Passes`."""
        return kept_for_several_pulls()

    def _compile(
        self,
        run: Callable[[Inputs], Chosen],
        batch: Inputs,
        modules: Mapping[str, nn.Module],
        plain: Recorded,
        with_gradients: bool,
    ) -> CompiledPass | BackendError:
        """The compiled pass, or why there is none: compiling again would take as long and end alike."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about the copy's attributes, which nothing reads
                made = CompiledPass(self._model, run, batch, modules, plain, with_gradients, self.compiler)
                made.check(batch, plain, self._read)
        except XaicoreError as exc:
            if exc.__cause__ is None:
                return BackendError(f"compile: {exc}; leave compile out")
            return _refusal(exc.__cause__)  # of the compiler, in the model's forward pass
        except Exception as exc:  # of a compiler, which has many
            return _refusal(exc)
        return made


def copy_to_compile(model: nn.Module) -> nn.Module:
    """A copy of the modules, with the same weights in memory, frozen: nothing is kept for gradients of weights.

    Compilers trace a model with tensors that have no values, and the model may keep those in lists of its own.

    Raises:
        BackendError: the model cannot be copied, or this PyTorch is too old.
    """
    if not hasattr(torch.compiler, "set_stance"):
        raise BackendError(
            f"compile needs PyTorch 2.6 or newer, and this is {torch.__version__}: pip install -U torch, or leave "
            "compile out"
        )
    shared: dict[int, Any] = {
        id(weight): nn.Parameter(weight.detach(), requires_grad=False)
        for weight in model.parameters()
        if type(weight) is nn.Parameter
    }
    try:
        copied: nn.Module = copy.deepcopy(model, shared)
    except Exception as exc:
        raise BackendError(
            f"compile needs a copy of the model, which cannot be had, {type(exc).__name__}: {exc}; leave compile out"
        ) from exc
    return copied.requires_grad_(False)


def _refusal(raised: BaseException) -> BackendError:
    line = next(iter(str(raised).strip().splitlines()), "")
    return BackendError(
        f"compile: torch.compile does not take this model, {type(raised).__name__}: {line}; leave compile out"
    )

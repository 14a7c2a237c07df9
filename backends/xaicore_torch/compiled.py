"""A backend whose passes are compiled by `torch.compile`, for batches of one size."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import nn

from xaicore import BackendError, Capture, Direction, XaicoreError
from xaicore.outputs import Output
from xaicore_torch.answers import Chosen
from xaicore_torch.backend import TorchBackend
from xaicore_torch.compiled_pass import CompiledPass
from xaicore_torch.inputs import Inputs
from xaicore_torch.passes import Mode, Recorded
from xaicore_torch.private import kept_for_several_pulls

__all__ = ["CompiledBackend"]


class CompiledBackend(TorchBackend):
    """A backend of a copy, which shares the model's weights; batches of `count` images run compiled.

    Whether a pass runs compiled depends on the shapes of its batch alone, and not on what ran before: a run that is
    resumed makes the same values. All other passes run as those of `TorchBackend`: of other sizes, and those that
    record attention, inputs or second derivatives.

    The first batch of each shape runs both ways. Where the two differ by more than rounding, it is refused.

    Args:
        model, output: as in `TorchBackend`.
        count: images in the batches that run compiled.

    Raises:
        BackendError: the model cannot be copied, or this PyTorch is too old.
    """

    compiler: ClassVar[str] = "inductor"
    """The backend of `torch.compile`."""

    def __init__(self, model: nn.Module, output: int | str | Output | None, count: int) -> None:
        if not hasattr(torch.compiler, "set_stance"):
            raise BackendError(
                f"compile needs PyTorch 2.6 or newer, and this is {torch.__version__}: pip install -U torch, or leave "
                "compile out"
            )
        super().__init__(_with_shared_weights(model), output)
        self._count = count
        self._passes: dict[Hashable, CompiledPass | BackendError] = {}

    def capture(self, inputs: Any, layers: Sequence[str], direction: Direction | None = None, **others: Any) -> Capture:
        """As in `TorchBackend`."""
        if self._surveys.is_empty:  # outputs of compiled passes do not show their link
            self.observe(inputs)
        with kept_for_several_pulls():
            return super().capture(inputs, layers, direction, **others)

    def _record(
        self,
        batch: Inputs,
        modules: Mapping[str, nn.Module],
        with_gradients: bool,
        modes: Sequence[Mode] = (),
        from_inputs: bool = False,
        parts: bool = False,
    ) -> Recorded:
        if batch.count != self._count or modes or from_inputs or parts or not modules:
            return super()._record(batch, modules, with_gradients, modes, from_inputs, parts)
        key = (batch.image_shapes, tuple(t.dtype for t in batch.tensors), tuple(modules), with_gradients)
        if key not in self._passes:
            plain = super()._record(batch, modules, with_gradients)
            self._passes[key] = self._compiled(batch, modules, plain, with_gradients)
        found = self._passes[key]
        if isinstance(found, BackendError):
            raise found
        return found.run(batch)

    def _compiled(
        self, batch: Inputs, modules: Mapping[str, nn.Module], plain: Recorded, with_gradients: bool
    ) -> CompiledPass | BackendError:
        """The compiled pass, or why there is none: compiling again would take as long and end alike."""

        def run(batch: Inputs) -> Chosen:
            return Chosen(self._explained.chosen(batch).y)

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about the copy's attributes, which nothing reads
                made = CompiledPass(self.model, run, batch, modules, plain, with_gradients, self.compiler)
                made.check(batch, plain, self._explained.read)
        except XaicoreError as exc:
            if exc.__cause__ is None:
                return BackendError(f"compile: {exc}; leave compile out")
            return _refusal(exc.__cause__)  # of the compiler, in the model's forward pass
        except Exception as exc:  # of a compiler, which has many
            return _refusal(exc)
        return made


def _refusal(raised: BaseException) -> BackendError:
    line = next(iter(str(raised).strip().splitlines()), "")
    return BackendError(
        f"compile: torch.compile does not take this model, {type(raised).__name__}: {line}; leave compile out"
    )


def _with_shared_weights(model: nn.Module) -> nn.Module:
    """A copy of the modules, with the same weights in memory, frozen: nothing is kept for gradients of weights.

    Compilers trace a model with tensors that have no values, and the model may keep those in lists of its own.

    Raises:
        BackendError: the model cannot be copied.
    """
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

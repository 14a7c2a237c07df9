"""Heatmaps from Lightning's Trainer, under either name of that library."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from torch import nn

from xaicore import DependencyError, InputError
from xaicore_torch.callbacks import Watcher

__all__ = ["HeatmapCallback"]


def _callback_class() -> Any:
    """The base class; `lightning` and `pytorch_lightning` have one each, and what trains is imported by now."""
    names = sorted(("lightning.pytorch", "pytorch_lightning"), key=lambda name: name not in sys.modules)
    for name in names:
        try:
            return importlib.import_module(name).Callback
        except ImportError as exc:
            error = exc
    raise DependencyError(f'Lightning does not load ({error}): pip install "xaicore[lightning]"') from error


class HeatmapCallback(Watcher, _callback_class()):
    """Explains the same pictures after each epoch (step = `current_epoch`, from 0) and logs them.

    Trainer(callbacks=[HeatmapCallback(x, truth=y, loggers="disk")])

    Only the main process works, on the module itself. The sanity check is left out; `trainer.validate()` on its own
    gives one round.

    Args:
        x: the pictures to watch.
        unit: "epoch", or "step" to count `global_step` and explain after batches; then set `every`.
        model: the classifier's name inside of the LightningModule, such as "net". None: the LightningModule, or, where
            it has no `forward`, its only part with weights.
        options: the other arguments of `xaicore.Monitor`.

    Attributes:
        monitor: the `Monitor` of the run that is under way, or None.

    Raises:
        InputError: the unit is unknown.
        TypeError: an option is unknown.
        XaicoreError: as training starts, what `Monitor` finds wrong.
    """

    def __init__(self, x: Any, *, unit: str = "epoch", model: str | None = None, **options: Any) -> None:
        super().__init__(x, unit, options)
        self.model = model

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Open the loggers and look at one picture."""
        if trainer.is_global_zero:
            self._start(_classifier(pl_module, self.model))

    def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
        """With unit="step", the monitor's step."""
        self._step("step", trainer.global_step)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """With unit="epoch", the monitor's step."""
        self._step("epoch", trainer.current_epoch)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """One round, if this is no part of a training."""
        if trainer.state.fn == "validate" and trainer.is_global_zero:
            self._once(_classifier(pl_module, self.model), trainer.current_epoch, trainer.global_step)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Close the loggers."""
        self.close()

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Close the loggers."""
        self.close()


def _classifier(module: nn.Module, name: str | None) -> nn.Module:
    """The part of a LightningModule that takes pictures and answers classes."""
    parts = {part: child for part, child in module.named_children() if any(True for _ in child.parameters())}
    if name is not None:
        try:
            return module.get_submodule(name)
        except AttributeError as exc:
            known = ", ".join(parts)
            raise InputError(f"model={name!r} is no part of {type(module).__name__}: it has {known}") from exc
    if type(module).forward.__module__.partition(".")[0] not in ("lightning", "pytorch_lightning"):
        return module
    if len(parts) != 1:
        raise InputError(
            f"{type(module).__name__} has no forward(): say which part of it is the classifier, model=...; it has "
            f"{', '.join(parts) or 'none with weights'}"
        )
    return next(iter(parts.values()))

"""Heatmaps from Lightning's Trainer, under either name of that library."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from torch import nn

from xaicore import DependencyError, InputError
from xaicore_torch.callbacks import TorchWatcher

__all__ = ["HeatmapCallback"]


def _callback_class() -> Any:
    """The base class: `lightning` and `pytorch_lightning` have one each; the imported one is what the trainer uses."""
    names = sorted(("lightning.pytorch", "pytorch_lightning"), key=lambda name: name not in sys.modules)
    for name in names:
        try:
            return importlib.import_module(name).Callback
        except ImportError as exc:
            error = exc
    raise DependencyError(f'Lightning does not load ({error}): pip install "xaicore[lightning]"') from error


class HeatmapCallback(TorchWatcher, _callback_class()):  # type: ignore[misc]  # known at run time only
    """Explains the same images after each epoch and logs them. The step is `current_epoch`, from 0.

    Trainer(callbacks=[HeatmapCallback(x, truth=y, loggers="disk")])

    Only the main process explains, using the module itself. The sanity check is skipped; `trainer.validate()` outside
    of a training logs one step. Attributes and errors are those of `xaicore.Watcher`.

    Args:
        x: the images to explain.
        unit: "epoch", or "step" to count `global_step`; then set `every`.
        model: the name of the classifier in the LightningModule, such as "net". None: the LightningModule, or, if it
            has no `forward`, its only child with weights.
        options: the other arguments of `xaicore.Monitor`.
    """

    def __init__(self, x: Any, *, unit: str = "epoch", model: str | None = None, **options: Any) -> None:
        super().__init__(x, unit=unit, **options)
        self.model = model

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Open the loggers, and explain a first image."""
        if trainer.is_global_zero:
            self.start(_classifier(pl_module, self.model))

    def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
        """Explain, with unit="step"."""
        self.step("step", trainer.global_step)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Explain, with unit="epoch"."""
        self.step("epoch", trainer.current_epoch)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Explain once, outside of a training."""
        if trainer.state.fn == "validate" and trainer.is_global_zero:
            self.once(_classifier(pl_module, self.model), trainer.current_epoch, trainer.global_step)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Close the loggers."""
        self.close()

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Close the loggers."""
        self.close()


def _classifier(module: nn.Module, name: str | None) -> nn.Module:
    """The module of a LightningModule that takes images and returns class scores."""
    children = {child: m for child, m in module.named_children() if any(True for _ in m.parameters())}
    if name is not None:
        try:
            return module.get_submodule(name)
        except AttributeError as exc:
            known = ", ".join(children)
            raise InputError(f"model={name!r} is no part of {type(module).__name__}: it has {known}") from exc
    if type(module).forward.__module__.partition(".")[0] not in ("lightning", "pytorch_lightning"):
        return module
    if len(children) != 1:
        raise InputError(
            f"{type(module).__name__} has no forward(): name the classifier in it, model=...; it has "
            f"{', '.join(children) or 'none with weights'}"
        )
    return next(iter(children.values()))

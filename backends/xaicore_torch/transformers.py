"""Heatmaps from the Trainer of Transformers."""

from __future__ import annotations

from typing import Any

from xaicore import DependencyError
from xaicore_torch.callbacks import Watcher

try:
    from transformers import TrainerCallback
except ImportError as exc:
    raise DependencyError(f'Transformers does not load ({exc}): pip install "xaicore[transformers]"') from exc

__all__ = ["HeatmapCallback"]


class HeatmapCallback(Watcher, TrainerCallback):
    """Explains the same pictures after each epoch (step = the epochs done, from 1) and logs them.

    Trainer(model, args, callbacks=[HeatmapCallback(x, truth=y, loggers="disk")], ...)

    Only the main process works. `trainer.evaluate()` outside of a training gives one round. The Trainer does not tell
    callbacks of an exception: what was logged is safe, and the loggers are closed by the next training, by `close()`
    or when Python ends.

    Args:
        x: the pictures to watch: pixel values (N, C, H, W), or a dict of the model's arguments.
        unit: "epoch", or "step" to count `global_step` and explain after optimizer steps; then set `every`.
        options: the other arguments of `xaicore.Monitor`.

    Attributes:
        monitor: the `Monitor` of the run that is under way, or None.

    Raises:
        InputError: the unit is unknown.
        TypeError: an option is unknown.
        XaicoreError: as training starts, what `Monitor` finds wrong.
    """

    def __init__(self, x: Any, *, unit: str = "epoch", **options: Any) -> None:
        super().__init__(x, unit, options)

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Open the loggers and look at one picture."""
        if state.is_world_process_zero:
            self._start(model)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """With unit="step", the monitor's step."""
        self._step("step", state.global_step)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """With unit="epoch", the monitor's step."""
        self._step("epoch", round(state.epoch))

    def on_evaluate(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """One round, if this is no part of a training."""
        if state.is_world_process_zero and self.monitor is None:
            self._once(model, round(state.epoch or 0), state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Close the loggers."""
        self.close()

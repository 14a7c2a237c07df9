"""Heatmaps from the Trainer of Transformers."""

from __future__ import annotations

from typing import Any

from xaicore import DependencyError
from xaicore_torch.callbacks import TorchWatcher

try:
    from transformers import TrainerCallback
except ImportError as exc:
    raise DependencyError(f'Transformers does not load ({exc}): pip install "xaicore[transformers]"') from exc

__all__ = ["HeatmapCallback"]


class HeatmapCallback(TorchWatcher, TrainerCallback):
    """Explains the same images after each epoch and logs them. The step is the number of epochs done, from 1.

    Trainer(model, args, callbacks=[HeatmapCallback(x, truth=y, loggers="disk")], ...)

    x is pixel values (N, C, H, W), or a dict of the model's arguments. Arguments, attributes and errors are those of
    `xaicore.Watcher`; unit="step" counts `global_step`. Only the main process explains; `trainer.evaluate()` outside of
    a training logs one step. The Trainer does not tell callbacks of an exception: what was logged is safe, and the
    loggers are closed by the next training, by `close()`, or when Python ends.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Open the loggers, and explain a first image."""
        if state.is_world_process_zero:
            self.start(model)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Explain, with unit="step"."""
        self.step("step", state.global_step)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Explain, with unit="epoch"."""
        self.step("epoch", round(state.epoch))

    def on_evaluate(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Explain once, outside of a training."""
        if state.is_world_process_zero and self.monitor is None:
            self.once(model, round(state.epoch or 0), state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Close the loggers."""
        self.close()

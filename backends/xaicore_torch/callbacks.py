"""What the callbacks of torch's training frameworks share: a monitor for as long as a run lasts."""

from __future__ import annotations

from typing import Any

from torch import nn

from xaicore import BackendError, InputError, Monitor

__all__ = ["Watcher"]


class Watcher:
    """Starts a `Monitor` with the training, steps it in one unit, and closes it. For the main process only.

    Args:
        x: the pictures to watch, as `Monitor` takes them.
        unit: "epoch" or "step", what is counted.
        options: the other arguments of `Monitor`, without the model.

    Attributes:
        monitor: the `Monitor` of the run that is under way, or None.

    Raises:
        InputError: the unit is unknown.
        TypeError: an option is unknown.
    """

    monitor: Monitor | None = None

    def __init__(self, x: Any, unit: str, options: dict[str, Any]) -> None:
        if unit not in ("epoch", "step"):
            raise InputError(f"unit={unit!r}: expected 'epoch' or 'step'")
        self.unit = unit
        self._monitor_of = Monitor.later(x, **options)

    def close(self) -> None:
        """Deliver what is on its way and close the loggers. Done by itself where a run ends; also harmless twice."""
        monitor, self.monitor = self.monitor, None
        if monitor is not None:
            monitor.close()

    def _start(self, model: nn.Module) -> None:
        self.close()  # a run that broke off without a word
        _check_whole(model)
        self.monitor = self._monitor_of(model)

    def _step(self, unit: str, number: int) -> None:
        if self.monitor is not None and unit == self.unit:
            self.monitor.step(number)

    def _once(self, model: nn.Module, epoch: int, step: int) -> None:
        """One round, for an evaluation outside of training."""
        self._start(model)
        try:
            self._step("epoch", epoch)
            self._step("step", step)
        finally:
            self.close()


def _check_whole(model: nn.Module) -> None:
    """Raise where the weights lie in pieces on several processes: one that asks alone waits for ever."""
    fully_sharded = any(type(module).__name__ == "FullyShardedDataParallel" for module in model.modules())
    if fully_sharded or any(type(p).__name__ == "DTensor" or hasattr(p, "ds_id") for p in model.parameters()):
        raise BackendError(
            f"the weights of {type(model).__name__} are sharded over several processes, and heatmaps are made on one "
            "of them: leave the callback out, and explain a checkpoint after the training"
        )

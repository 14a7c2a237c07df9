"""The base of callbacks for training frameworks."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from xaicore.errors import InputError
from xaicore.logger import Run
from xaicore.monitor.monitor import Monitor

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Watcher"]


class Watcher:
    """A `Monitor` for as long as a training lasts.

    A callback derives from this class and, where the framework has one, from the framework's own. In the main process
    it calls `start` before the first epoch, `step` after each epoch and each training step, and `close` at the end.

    A deep copy belongs to another training, as tuners copy their callbacks for each trial: it has a run of its own,
    called "<name>-<time>-<number>" where the original has a name. A pickled callback continues the run.

    Args:
        x: the images to explain, as `Monitor` takes them.
        unit: "epoch", or "step" to count training steps; then set `every`.
        options: the other arguments of `Monitor`, without the model.

    Attributes:
        unit: "epoch" or "step".
        monitor: the `Monitor` of the training under way, or None.
        make_monitor: makes a `Monitor` of a model; every call joins the same run.

    Raises:
        InputError: the unit is unknown.
        TypeError: an option is unknown.
    """

    monitor: Monitor | None = None

    def __init__(self, x: Any, *, unit: str = "epoch", **options: Any) -> None:
        super().__init__()
        if unit not in ("epoch", "step"):
            raise InputError(f"unit={unit!r}: expected 'epoch' or 'step'")
        self.unit = unit
        self.make_monitor = Monitor.later(x, **options)
        self._name: str | None = options.get("name")

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = copy.copy(self)
        memo[id(self)] = copied
        own = {name: value for name, value in vars(self).items() if name not in ("monitor", "make_monitor")}
        vars(copied).update(copy.deepcopy(own, memo), monitor=None)
        name = Run().name if self._name is None else f"{self._name}-{Run().name}"
        copied.make_monitor = Monitor.later(**{**self.make_monitor.keywords, "name": name})
        return copied

    def start(self, model: Any) -> None:
        """Open the loggers, and explain a first image to report mistakes.

        Raises:
            XaicoreError: an argument of `Monitor` does not fit the model.
        """
        self.close()  # a training may have ended without calling `close`
        self.monitor = self.make_monitor(model)

    def step(self, unit: str, number: int) -> None:
        """Step the monitor, if this is its unit: `number` is the epoch, or the training steps so far."""
        if self.monitor is not None and unit == self.unit:
            self.monitor.step(number)

    def close(self) -> None:
        """Deliver the steps on their way and close the loggers. Every training ends with this; it may be repeated."""
        monitor, self.monitor = self.monitor, None
        if monitor is not None:
            monitor.close()

    def once(self, model: Any, epoch: int, step: int) -> None:
        """Explain and log one step, for an evaluation outside of a training."""
        self.start(model)
        try:
            self.step("epoch", epoch)
            self.step("step", step)
        finally:
            self.close()

"""Heatmaps from an engine of Ignite."""

from __future__ import annotations

from typing import Any

from torch import nn

from xaicore import DependencyError
from xaicore_torch.callbacks import Watcher

try:
    from ignite import distributed as idist
    from ignite.engine import Engine, Events
except ImportError as exc:
    raise DependencyError(f'Ignite does not load ({exc}): pip install "xaicore[ignite]"') from exc

__all__ = ["HeatmapCallback"]


class HeatmapCallback(Watcher):
    """Explains the same pictures after each epoch (step = `state.epoch`, from 1) and logs them.

    HeatmapCallback(x, truth=y, loggers="disk").attach(trainer, model)

    Only the main process works, on the module inside of a distributed one. An exception closes the loggers, too,
    unless the engine has another handler for it, which may let the run go on.

    Args:
        x: the pictures to watch.
        unit: "epoch", or "step" to count `state.iteration` and explain after iterations; then set `every`.
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

    def attach(self, engine: Engine, model: nn.Module) -> None:
        """Watch a model while this engine trains it."""
        if idist.get_rank() != 0:
            return
        on = engine.add_event_handler
        on(Events.STARTED, lambda: self._start(model))
        on(Events.ITERATION_COMPLETED, lambda engine: self._step("step", engine.state.iteration))
        on(Events.EPOCH_COMPLETED, lambda engine: self._step("epoch", engine.state.epoch))
        on(Events.COMPLETED | Events.TERMINATE, self.close)
        on(Events.EXCEPTION_RAISED, self._on_exception)

    def _on_exception(self, engine: Engine, error: BaseException) -> None:
        # An engine raises only where nobody handles the exception. Whoever else does decides whether the run goes on.
        handlers = [handler for handler, *_ in engine._event_handlers[Events.EXCEPTION_RAISED]]
        if all(getattr(handler, "__func__", None) is HeatmapCallback._on_exception for handler in handlers):
            self.close()
            if handlers[-1] == self._on_exception:
                raise error

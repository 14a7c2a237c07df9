"""Heatmaps from an engine of Ignite."""

from __future__ import annotations

from torch import nn

from xaicore import DependencyError
from xaicore_torch.callbacks import TorchWatcher

try:
    from ignite import distributed as idist
    from ignite.engine import Engine, Events
except ImportError as exc:
    raise DependencyError(f'Ignite does not load ({exc}): pip install "xaicore[ignite]"') from exc

__all__ = ["HeatmapCallback"]


class HeatmapCallback(TorchWatcher):
    """Explains the same images after each epoch and logs them. The step is `state.epoch`, from 1.

    HeatmapCallback(x, truth=y, loggers="disk").attach(trainer, model)

    Arguments, attributes and errors are those of `xaicore.Watcher`; unit="step" counts `state.iteration`. Only the main
    process explains, using the module inside of a distributed one. An exception closes the loggers, too, unless the
    engine has another handler for it, which may let the training go on.
    """

    def attach(self, engine: Engine, model: nn.Module) -> None:
        """Explain with this model while this engine trains it."""
        if idist.get_rank() != 0:
            return
        handle = engine.add_event_handler
        handle(Events.STARTED, lambda: self.start(model))
        handle(Events.ITERATION_COMPLETED, lambda engine: self.step("step", engine.state.iteration))
        handle(Events.EPOCH_COMPLETED, lambda engine: self.step("epoch", engine.state.epoch))
        handle(Events.COMPLETED | Events.TERMINATE, self.close)
        handle(Events.EXCEPTION_RAISED, self._on_exception)

    def _on_exception(self, engine: Engine, error: BaseException) -> None:
        # An engine raises only what nobody handles. Any other handler decides whether the training goes on. No public
        # name lists the handlers; `_event_handlers` is there in pytorch-ignite 0.5.0 to 0.5.5.
        handlers = [handler for handler, *_ in engine._event_handlers[Events.EXCEPTION_RAISED]]
        if all(getattr(handler, "__func__", None) is HeatmapCallback._on_exception for handler in handlers):
            self.close()
            if handlers[-1] == self._on_exception:
                raise error

"""Heatmaps from `model.fit`."""

from __future__ import annotations

from typing import Any

import keras

from xaicore import BackendError, InputError, Monitor

__all__ = ["HeatmapCallback"]


class HeatmapCallback(keras.callbacks.Callback):
    """Explains the same pictures after each epoch (step = `epoch`, from 0) and logs them.

    model.fit(x, y, callbacks=[HeatmapCallback(watched, truth=classes, loggers="disk")])

    With method="gradcam" it logs Grad-CAM, with method="cam" on a `cam_model` the original CAM. Only the main process
    works. A second `fit` goes on in the same run; where it goes on counting epochs, give it `initial_epoch`.

    Args:
        x: the pictures to watch.
        unit: "epoch", or "step" to count batches and explain between them; then set `every`. Goes on from the
            optimiser's iterations.
        options: the other arguments of `xaicore.Monitor`.

    Attributes:
        monitor: the `Monitor` of the training that is under way, or None.

    Raises:
        InputError: the unit is unknown.
        TypeError: an option is unknown.
        XaicoreError: as training starts, what `Monitor` finds wrong. Of a model that has no weights before its first
            batch, that is a warning after the first epoch.
    """

    async_safe = True
    """For Keras: no need to wait for each batch on account of this callback."""

    def __init__(self, x: Any, *, unit: str = "epoch", **options: Any) -> None:
        super().__init__()
        if unit not in ("epoch", "step"):
            raise InputError(f"unit={unit!r}: expected 'epoch' or 'step'")
        self.unit = unit
        self.monitor: Monitor | None = None
        self._monitor_of = Monitor.later(x, **options)
        self._every = options.get("every", 1)
        self._turn: int | None = None
        self._before = 0
        self._ends: list[int] = []

    def close(self) -> None:
        """Deliver what is on its way and close the loggers; done by itself where training ends without an error."""
        monitor, self.monitor = self.monitor, None
        if monitor is not None:
            monitor.close()

    def on_train_begin(self, logs: Any = None) -> None:
        """Open the loggers and look at one picture."""
        self.close()  # a training that broke off
        self._turn = None
        if _is_main(self.model):
            self.monitor = self._monitor_of(self.model)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Count."""
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is not None:
            self._before = max(self._before, int(keras.ops.convert_to_numpy(optimizer.iterations)))
        self._ends.clear()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """With unit="step", the monitor's step. Not as a batch ends: Keras may say that from another thread."""
        if batch:
            self._step("step", self._before + batch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count."""
        self._ends.append(batch + 1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """The monitor's step."""
        seen = max(self._ends, default=0)
        self._before += min(seen, (self.params or {}).get("steps") or seen)  # the last execution may have fewer batches
        self._step(self.unit, epoch if self.unit == "epoch" else self._before)

    def on_train_end(self, logs: Any = None) -> None:
        """Close the loggers."""
        self.close()

    def _step(self, unit: str, number: int) -> None:
        turn = number // self._every
        if self.monitor is not None and unit == self.unit and turn != self._turn:
            self._turn = turn
            _ = self.model  # asked for on JAX, it gets back the weights that the trainer has, at a price
            self.monitor.step(number)


def _is_main(model: keras.Model) -> bool:
    """Whether this process is the one that logs, where several train together and Keras' backend knows of it.

    Raises:
        BackendError: weights lie in pieces on several processes: one that asks alone waits for ever.
    """
    running = keras.backend.backend()
    if running == "jax":
        import jax

        if not all(v.value.is_fully_addressable or v.value.is_fully_replicated for v in model.variables):
            raise BackendError(
                f"the weights of {model.name!r} are sharded over several processes, and heatmaps are made on one of "
                "them: leave the callback out, and explain a saved model after the training"
            )
        return jax.process_index() == 0
    if running == "torch":
        from torch import distributed

        return not distributed.is_available() or not distributed.is_initialized() or distributed.get_rank() == 0
    return bool(model.distribute_strategy.extended.should_save_summary)

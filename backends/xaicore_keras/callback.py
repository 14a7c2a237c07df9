"""Heatmaps from `model.fit`."""

from __future__ import annotations

from typing import Any

import keras

from xaicore import BackendError, Watcher

__all__ = ["HeatmapCallback"]


class HeatmapCallback(Watcher, keras.callbacks.Callback):
    """Explains the same images after each epoch and logs them. The step is `epoch`, from 0.

    model.fit(x, y, callbacks=[HeatmapCallback(images, truth=classes, loggers="disk")])

    Arguments, attributes and errors are those of `xaicore.Watcher`. With method="gradcam" it logs Grad-CAM, with
    method="cam" on a `cam_model` the original CAM. unit="step" counts batches, from the optimizer's iterations on, and
    explains between them. Only the main process explains. A second `fit` continues the same run; where its epochs are
    new ones, give it `initial_epoch`. `model.evaluate(callbacks=[...])` logs once, at the last epoch that was trained.

    A mistake is an error as training starts; for a model that has no weights before its first batch, it is a warning
    after the first epoch.
    """

    async_safe = True
    """Tells Keras not to wait for each batch because of this callback."""

    def __init__(self, x: Any, *, unit: str = "epoch", **options: Any) -> None:
        super().__init__(x, unit=unit, **options)
        self._epoch = 0
        self._in_fit = False
        self._steps_before = 0
        self._batches: list[int] = []

    def set_model(self, model: keras.Model) -> None:
        """Keras calls this as `fit`, and as `evaluate` outside of it begins."""
        super().set_model(model)
        self._in_fit = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Open the loggers, and explain a first image."""
        self._in_fit = True
        self.close()
        if _is_main(self.model):
            self.start(self.model)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Count the steps before this epoch."""
        self._epoch = epoch
        self._steps_before = max(self._steps_before, _iterations(self.model))
        self._batches.clear()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Explain, with unit="step". As a batch ends would be wrong: Keras may report that from another thread."""
        if batch:
            self.step("step", self._steps_before + batch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count the batch."""
        self._batches.append(batch + 1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Explain."""
        done = max(self._batches, default=0)
        # The last execution of several batches may have fewer, which Keras does not report.
        self._steps_before += min(done, (self.params or {}).get("steps") or done)
        self.step(self.unit, epoch if self.unit == "epoch" else self._steps_before)

    def on_test_end(self, logs: Any = None) -> None:
        """Explain once, outside of a training."""
        if not self._in_fit and _is_main(self.model):
            self.once(self.model, self._epoch, _iterations(self.model))

    def on_train_end(self, logs: Any = None) -> None:
        """Close the loggers."""
        self.close()

    def step(self, unit: str, number: int) -> None:
        """Step the monitor, if this is its unit and the step is due."""
        if self.monitor is not None and unit == self.unit and self.monitor.is_due(number):
            _ = self.model  # on JAX, reading it brings back the weights that the trainer holds, which takes time
            super().step(unit, number)


def _iterations(model: keras.Model) -> int:
    """The batches that the model's optimizer has seen."""
    optimizer = getattr(model, "optimizer", None)
    return 0 if optimizer is None else int(keras.ops.convert_to_numpy(optimizer.iterations))


def _is_main(model: keras.Model) -> bool:
    """Whether this process is the one that logs, where several train together.

    Raises:
        BackendError: the weights are sharded over processes: a single process that asks for them waits for ever.
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
    return running != "tensorflow" or bool(model.distribute_strategy.extended.should_save_summary)

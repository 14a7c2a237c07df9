"""What the callbacks of PyTorch's training frameworks share."""

from __future__ import annotations

from torch import nn

from xaicore import BackendError, Watcher

__all__ = ["TorchWatcher"]


class TorchWatcher(Watcher):
    """A `Watcher` of models whose weights one process holds as a whole."""

    def start(self, model: nn.Module) -> None:
        """Open the loggers, and explain a first image to report mistakes.

        Raises:
            BackendError: the weights are sharded over processes: a single process that asks for them waits for ever.
        """
        fully_sharded = any(type(module).__name__ == "FullyShardedDataParallel" for module in model.modules())
        if fully_sharded or any(type(p).__name__ == "DTensor" or hasattr(p, "ds_id") for p in model.parameters()):
            raise BackendError(
                f"the weights of {type(model).__name__} are sharded over several processes, and heatmaps are made on "
                "one of them: leave the callback out, and explain a checkpoint after the training"
            )
        super().start(model)

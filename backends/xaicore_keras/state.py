"""The model as it was found, whatever a run of it does."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import keras

from xaicore_keras.paths import walk

__all__ = ["left_as_found", "lock"]

lock = threading.RLock()
"""Held while hooks are on. One for the process, since models share layers."""


@contextlib.contextmanager
def left_as_found(model: Any) -> Iterator[None]:
    """Restore what a call leaves behind outside of variables; for these, see `run.run_model`.

    Any call clears the losses that the last one added, marks layers as called, and switches the torch module
    inside a TorchModuleWrapper to evaluation. Rematerialisation is off meanwhile: it would shut hooked tensors
    into a graph of its own.
    """
    with lock:
        operations = [model, *walk(model).values()]
        layers = [part for part in operations if isinstance(part, keras.Layer)]
        losses = [(layer, list(layer._losses), set(layer._loss_ids)) for layer in layers if layer._losses]
        uncalled = [layer for layer in layers if not layer._called]
        remat = [(part, part._remat_mode) for part in operations if part._remat_mode is not None]
        wrappers = [layer for layer in layers if type(layer).__name__ == "TorchModuleWrapper"]
        training = [(module, module.training) for wrapper in wrappers for module in wrapper.modules()]
        try:
            for part, _ in remat:
                object.__setattr__(part, "_remat_mode", None)
            yield
        finally:
            for part, mode in remat:
                object.__setattr__(part, "_remat_mode", mode)
            for layer in uncalled:
                object.__setattr__(layer, "_called", False)
            for layer, kept, ids in losses:
                layer._losses[:] = kept
                layer._loss_ids.update(ids)
            for module, flag in training:
                module.training = flag

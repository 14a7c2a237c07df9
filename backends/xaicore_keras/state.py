"""Restore a model's state after it has run."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

import keras

from xaicore.randomness import preserved
from xaicore_keras.paths import walk
from xaicore_keras.private import attributes_of_keras, unnoticed_calls

__all__ = ["lock", "preserved_loader", "preserved_model", "preserved_modes"]

lock = threading.RLock()
"""Held while hooks are set. One for the process, since models share layers."""


@contextlib.contextmanager
def preserved_model(model: Any) -> Iterator[None]:
    """Restore what a pass over the model changes outside of its variables; for these, see `run.run_model`.

    A pass clears the losses that the last one added and marks layers as called; a model's own `call` may set
    attributes and draw random numbers. What it changes inside its own lists and dictionaries is not restored.
    Rematerialisation is off meanwhile.
    """
    with lock, preserved(), preserved_modes(model):
        operations = [model, *walk(model).values()]
        layers = [operation for operation in operations if isinstance(operation, keras.Layer)]
        with _preserved_attributes(layers), unnoticed_calls(layers, operations):
            yield


@contextlib.contextmanager
def preserved_modes(model: Any) -> Iterator[None]:
    """Restore the training flags of torch modules: every call of a TorchModuleWrapper clears those inside of it."""
    wrappers = [layer for layer in walk(model).values() if type(layer).__name__ == "TorchModuleWrapper"]
    training = [(module, module.training) for wrapper in wrappers for module in wrapper.modules()]
    try:
        yield
    finally:
        for module, flag in training:
            module.training = flag


@contextlib.contextmanager
def _preserved_attributes(layers: list[keras.Layer]) -> Iterator[None]:
    """One attribute at a time, and none of Keras' own: another thread may be using or compiling the model."""
    skipped = attributes_of_keras()
    before = [(vars(layer), dict(vars(layer))) for layer in layers]
    try:
        yield
    finally:
        for attributes, values in before:
            for name in [name for name in attributes if name not in values and name not in skipped]:
                del attributes[name]
            for name, value in values.items():
                if name not in skipped and attributes.get(name) is not value:
                    attributes[name] = value


def preserved_loader(source: Any) -> contextlib.AbstractContextManager[Any]:
    """Keep torch's random state and that of its loader, where torch is imported: Keras trains from its loaders."""
    if "torch" not in sys.modules:
        return contextlib.nullcontext()
    from xaicore_torch.tools import preserved_loader

    return preserved_loader(source)

"""The model as it was found, whatever a run of it does."""

from __future__ import annotations

import contextlib
import functools
import random
import threading
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from xaicore_keras.paths import walk

__all__ = ["left_as_found", "lock", "wrapped_modules_as_found"]

lock = threading.RLock()
"""Held while hooks are on. One for the process, since models share layers."""


_WHILE_TRAINING = (
    *("stop_training", "stop_evaluating", "stop_predicting", "history", "optimizer", "jit_compile", "run_eagerly"),
    *("_eval_epoch_iterator", "_jax_state", "_jax_state_synced", "_compile_config", "_compiled_trainable_state"),
)
"""What fit, evaluate, predict and compile keep on a model beside the attributes of every model."""


@contextlib.contextmanager
def left_as_found(model: Any) -> Iterator[None]:
    """Restore what a call leaves behind outside of variables; for these, see `run.run_model`.

    Any call clears the losses that the last one added and marks layers as called; a model's own `call` may set
    attributes and draw random numbers. What it changes inside of its own lists and dictionaries stays changed.
    Rematerialisation is off meanwhile: it would shut hooked tensors into a graph of its own.
    """
    own = _attributes_of_keras()
    with lock, _random_state(), wrapped_modules_as_found(model):
        operations = [model, *walk(model).values()]
        layers = [part for part in operations if isinstance(part, keras.Layer)]
        losses = [(layer, list(layer._losses), set(layer._loss_ids)) for layer in layers if layer._losses]
        uncalled = [layer for layer in layers if not layer._called]
        remat = [(vars(part), vars(part)["_remat_mode"]) for part in operations if vars(part).get("_remat_mode")]
        before = [(vars(layer), dict(vars(layer))) for layer in layers]
        try:
            for attributes, _ in remat:
                attributes["_remat_mode"] = None
            yield
        finally:
            for attributes, mode in remat:
                attributes["_remat_mode"] = mode
            for layer in uncalled:
                vars(layer)["_called"] = False
            for layer, values, ids in losses:
                layer._losses[:] = values
                layer._loss_ids.update(ids)
            for attributes, kept in before:
                _restore(attributes, kept, own)


def _restore(attributes: dict[str, Any], kept: dict[str, Any], own: frozenset[str]) -> None:
    """One attribute at a time, and none of Keras' own: another thread may be using or compiling the model."""
    for name in [name for name in attributes if name not in kept and name not in own]:
        del attributes[name]
    for name, value in kept.items():
        if name not in own and attributes.get(name) is not value:
            attributes[name] = value


@functools.cache
def _attributes_of_keras() -> frozenset[str]:
    return frozenset({*vars(keras.Model(name="plain")), *_WHILE_TRAINING})


@contextlib.contextmanager
def wrapped_modules_as_found(model: Any) -> Iterator[None]:
    """Every call of a TorchModuleWrapper switches the torch module inside of it to evaluation, for good."""
    wrappers = [layer for layer in walk(model).values() if type(layer).__name__ == "TorchModuleWrapper"]
    training = [(module, module.training) for wrapper in wrappers for module in wrapper.modules()]
    try:
        yield
    finally:
        for module, flag in training:
            module.training = flag


@contextlib.contextmanager
def _random_state() -> Iterator[None]:
    """Python's and NumPy's; Keras' own seeds are variables."""
    python, numpy = random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002 (the state that models draw from)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002

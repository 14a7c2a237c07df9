"""Where a model lies, passes that run there, and a copy of the model on another device."""

from __future__ import annotations

import contextlib
import copy
import functools
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import keras

from xaicore import BackendError
from xaicore_keras.engine import running_engine

__all__ = ["on_device", "on_its_device"]


class _OfModel(Protocol):
    model: Any


_known: weakref.WeakKeyDictionary[keras.Model, tuple[tuple[str | None, int], str | None]] = weakref.WeakKeyDictionary()
"""{model: (where its first weight lies, how many there are), where all of them lie}."""

Owner = TypeVar("Owner", bound=_OfModel)
Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")


def on_its_device(
    method: Callable[Concatenate[Owner, Arguments], Returned],
) -> Callable[Concatenate[Owner, Arguments], Returned]:
    """A method of what has a model, run on the device where the model's weights lie.

    Keras places what it makes on the device of its scope, not on that of the model.
    """

    @functools.wraps(method)
    def placed(self: Owner, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Returned:
        with _scope(self.model):
            return method(self, *args, **kwargs)

    return placed


def on_device(model: keras.Model, device: str) -> keras.Model:
    """The model itself where its weights lie on this device, else a copy that Keras makes there.

    Raises:
        BackendError: the model has no weights yet, or Keras cannot copy it.
    """
    if device == (_device_of(model) if model.weights else _default()):
        return model
    if not model.weights:
        raise BackendError(
            f"the model has no weights before its first batch, and Keras would make them on {_default()}: call the "
            f"model once under keras.device({device!r}), or pass it with its weights"
        )
    try:
        with keras.device(device):
            return copy.deepcopy(model)
    except Exception as exc:
        raise BackendError(
            f"Keras cannot copy the model to {device}: build it under keras.device({device!r}), or register its "
            f"classes, keras.saving.register_keras_serializable(). {type(exc).__name__}: {exc}"
        ) from exc


@contextlib.contextmanager
def _scope(model: keras.Model) -> Iterator[None]:
    there = _device_of(model) if _are_several() else None
    if there is None or there == _default():  # in a scope, everything would be compiled again
        yield
        return
    with keras.device(there):
        yield


@functools.cache
def _are_several() -> bool:
    """Whether there is a choice of devices. Asked when a model has weights: no other device can appear then."""
    return len(running_engine().devices()) > 1


def _device_of(model: keras.Model) -> str | None:
    """Where all of the weights lie; None where there are none, or they lie on several devices.

    All are looked at anew where the first one has moved, or there are more: looking takes as long as a small pass.
    """
    engine, weights = running_engine(), model.weights
    if not weights:
        return None
    seen = (engine.device_of(weights[0].value), len(weights))
    known = _known.get(model)
    if known is None or known[0] != seen:
        found = {engine.device_of(variable.value) for variable in weights}
        known = _known[model] = seen, found.pop() if len(found) == 1 else None
    return known[1]


def _default() -> str | None:
    """Where Keras makes tensors now."""
    engine = running_engine()
    with engine.isolated():
        return engine.device_of(keras.ops.convert_to_tensor(0.0))

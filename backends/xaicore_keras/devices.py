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
from xaicore_keras.engine import Engine

__all__ = ["listed_devices", "on_device", "on_its_device"]


class _OfModel(Protocol):
    model: Any
    _engine: Engine


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
        with _scope(self.model, self._engine):
            return method(self, *args, **kwargs)

    return placed


def listed_devices() -> tuple[str, ...]:
    """Those that Keras lists, on TensorFlow and JAX."""
    found: list[str] = []
    for kind in ("cpu", "gpu", "tpu"):
        with contextlib.suppress(RuntimeError):  # JAX knows nothing of this kind
            found += keras.distribution.list_devices(kind)
    return tuple(found)


def on_device(engine: Engine, model: keras.Model, device: str) -> keras.Model:
    """The model itself where its weights lie on this device, else a copy that Keras makes there.

    Raises:
        BackendError: the model has no weights yet, or Keras cannot copy it.
    """
    if device == (_device_of(model, engine) if model.weights else _default(engine)):
        return model
    if not model.weights:
        raise BackendError(
            "the model has no weights before its first batch, and Keras would make them on "
            f"{_default(engine)}: call the model once under keras.device({device!r}), or pass it with its weights"
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
def _scope(model: keras.Model, engine: Engine) -> Iterator[None]:
    there = _device_of(model, engine) if _are_several(engine) else None
    if there is None or there == _default(engine):  # in a scope, everything would be compiled again
        yield
        return
    with keras.device(there):
        yield


_several: dict[type[Engine], bool] = {}
"""{engine: whether there is a choice of devices}. Asked when a model has weights: no other device can appear then."""


def _are_several(engine: Engine) -> bool:
    kind = type(engine)
    if kind not in _several:
        _several[kind] = len(engine.devices()) > 1
    return _several[kind]


def _device_of(model: keras.Model, engine: Engine) -> str | None:
    """Where all of the weights lie; None where there are none, or they lie on several devices.

    All are looked at anew where the first one has moved, or there are more: looking takes as long as a small pass.
    """
    weights = model.weights
    if not weights:
        return None
    seen = (engine.device_of(weights[0].value), len(weights))
    known = _known.get(model)
    if known is None or known[0] != seen:
        found = {engine.device_of(variable.value) for variable in weights}
        known = _known[model] = seen, found.pop() if len(found) == 1 else None
    return known[1]


def _default(engine: Engine) -> str | None:
    """Where Keras makes tensors now."""
    with engine.isolated():
        return engine.device_of(keras.ops.convert_to_tensor(0.0))

"""What has been learnt of a model and compiled for it; goes when the model goes."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable, Iterator
from typing import Any

from xaicore_keras.paths import walk
from xaicore_keras.state import lock

__all__ = ["Traces", "count", "traces_of"]

MOST = 128
"""Plans and traces kept a model, those used last: pictures of ever new sizes must not fill the memory."""


class Traces:
    """Plans and compiled runs of one model. Nothing in it may refer to the model, or the model would never go.

    All of it belongs to the model as it was: other layers, variables, activations or precisions start afresh.
    """

    def __init__(self) -> None:
        self.made = 0
        self.is_built = False
        self.facts: dict[Hashable, Any] = {}
        self._bookkeeping = threading.Lock()
        self._parts: list[Callable[[], Any]] = []
        self._kept: dict[Hashable, Any] = {}

    def refresh(self, model: Any) -> None:
        """Forget everything if the model has other parts than before; values of variables may change."""
        parts = list(_parts(model))
        if len(parts) != len(self._parts) or any(
            known() is not part for known, part in zip(self._parts, parts, strict=True)
        ):
            with self._bookkeeping:
                self._parts = [_weak(part) for part in parts]
                self._kept.clear()
                self.facts.clear()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What was made for this key, made now under the process's lock where it was not."""
        found = self._used(key)
        if found is None:
            with lock:
                found = self._used(key)
                if found is None:
                    found = make()
                    self._keep(key, found)
        return found

    def _used(self, key: Hashable) -> Any:
        with self._bookkeeping:
            found = self._kept.pop(key, None)
            if found is not None:
                self._kept[key] = found  # the last one used is the last to go
            return found

    def _keep(self, key: Hashable, made: Any) -> None:
        with self._bookkeeping:
            self._kept[key] = made
            self.made += 1
            if len(self._kept) > MOST:
                del self._kept[next(iter(self._kept))]


def _parts(model: Any) -> Iterator[Any]:
    """Whatever a trace may have taken for granted."""
    yield from model.variables
    for layer in walk(model).values():
        attributes = vars(layer)
        yield layer
        yield from (attributes[name] for name in _TAKEN_FOR_GRANTED if name in attributes)


def _weak(part: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(part)
    except TypeError:  # None, some tensors: nothing that refers to the model
        return lambda: part


_TAKEN_FOR_GRANTED = ("activation", "_dtype_policy", "mean", "variance")
"""Attributes of layers; the last two are of Normalization, which makes plain tensors of its variables."""

_traces: weakref.WeakKeyDictionary[Any, Traces] = weakref.WeakKeyDictionary()


def traces_of(model: Any) -> Traces:
    """The traces of a model, those of all its explainers."""
    with lock:
        return _traces.setdefault(model, Traces())


def count(model: Any) -> int:
    """How many compiled runs have been made for a model so far."""
    return traces_of(model).made

"""What has been learnt of a model and compiled for it; goes when the model goes."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Any

from xaicore_keras.state import lock

__all__ = ["Traces", "count", "traces_of"]

MOST = 64
"""Traces kept a model: pictures of ever new sizes must not fill the memory."""


class Traces:
    """Plans and compiled runs of one model. Nothing in it may refer to the model, or the model would never go.

    All of it belongs to one set of variables: an adapter put on, or a quantisation, starts afresh.
    """

    def __init__(self) -> None:
        self.made = 0
        self.is_built = False
        self.facts: dict[Hashable, Any] = {}
        self._variables: tuple[int, ...] = ()
        self._kept: dict[Hashable, Any] = {}

    def refresh(self, model: Any) -> None:
        """Forget everything if the model has other variables than before."""
        variables = tuple(map(id, model.variables))
        if variables != self._variables:
            with lock:
                self._variables = variables
                self._kept.clear()
                self.facts.clear()

    def keys(self) -> list[Hashable]:
        """Of what is kept, oldest first."""
        return list(self._kept)

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What was made for this key, made now under the lock where it was not."""
        found = self._kept.get(key)
        if found is None:
            with lock:
                found = self._kept.get(key)
                if found is None:
                    found = make()
                    self.made += 1
                    self._kept[key] = found
                    if len(self._kept) > MOST:
                        del self._kept[next(iter(self._kept))]
        return found


_traces: weakref.WeakKeyDictionary[Any, Traces] = weakref.WeakKeyDictionary()


def traces_of(model: Any) -> Traces:
    """The traces of a model, those of all its explainers."""
    with lock:
        return _traces.setdefault(model, Traces())


def count(model: Any) -> int:
    """How many compiled runs have been made for a model so far."""
    return traces_of(model).made

"""Surveys and compiled passes of a model, which are freed with the model."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable, Iterator
from typing import Any

from xaicore_keras.paths import walk
from xaicore_keras.state import lock

__all__ = ["MAX_TRACES", "Traces", "traces_of"]

MAX_TRACES = 128
"""Surveys and traces kept per model, the last used ones, so that ever new image sizes do not fill the memory."""

_CONSTANTS = ("activation", "mean", "variance")
"""Attributes of layers that a trace takes as constants; the last two are Normalization's, plain tensors."""


class Traces:
    """Surveys and compiled passes of one model. None of them may refer to the model, which would never go.

    They hold for the model as it was. Other layers, variables, activations or precisions invalidate all of them.

    Attributes:
        made: the number of surveys and traces made so far.
        is_built: the model was built, or needs no building.
        facts: what engines know of the model besides, such as that it reads its batch size.
    """

    def __init__(self) -> None:
        self.made = 0
        self.is_built = False
        self.facts: dict[Hashable, Any] = {}
        self._bookkeeping = threading.Lock()
        self._components: list[Callable[[], Any]] = []
        self._traces: dict[Hashable, Any] = {}

    def refresh(self, model: Any) -> None:
        """Forget everything if the model has other components than before; values of variables may change."""
        components = list(_components(model))
        if len(components) != len(self._components) or any(
            known() is not component for known, component in zip(self._components, components, strict=True)
        ):
            with self._bookkeeping:
                self._components = [_weak(component) for component in components]
                self._traces.clear()
                self.facts.clear()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The trace of this key; made now, under the process's lock, if there is none."""
        trace = self._used(key)
        if trace is None:
            with lock:
                trace = self._used(key)
                if trace is None:
                    trace = make()
                    self._keep(key, trace)
        return trace

    def _used(self, key: Hashable) -> Any:
        with self._bookkeeping:
            trace = self._traces.pop(key, None)
            if trace is not None:
                self._traces[key] = trace  # the last one used is the last to go
            return trace

    def _keep(self, key: Hashable, trace: Any) -> None:
        with self._bookkeeping:
            self._traces[key] = trace
            self.made += 1
            if len(self._traces) > MAX_TRACES:
                del self._traces[next(iter(self._traces))]


def _components(model: Any) -> Iterator[Any]:
    """Everything that a trace takes for granted."""
    yield from model.variables
    for layer in walk(model).values():
        attributes = vars(layer)
        yield layer
        yield getattr(layer, "dtype_policy", None)
        yield from (attributes[name] for name in _CONSTANTS if name in attributes)


def _weak(component: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(component)
    except TypeError:  # None and some tensors, which do not refer to the model
        return lambda: component


_traces: weakref.WeakKeyDictionary[Any, Traces] = weakref.WeakKeyDictionary()


def traces_of(model: Any) -> Traces:
    """The traces of a model, shared by all of its explainers."""
    with lock:
        return _traces.setdefault(model, Traces())

"""Hooks on the calls of layers, for the length of one pass."""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = ["Hook", "PassStopped", "at_call", "hooked"]

Hook = Callable[[tuple[Any, ...], dict[str, Any], Any], Any]
"""`hook(args, kwargs, answer)` takes the arguments and the answer of a call; the layer answers what it returns."""


class PassStopped(BaseException):
    """A hook has what it wants, and ends the pass. Not an Exception, which a model may catch."""


def at_call(number: int, hook: Hook) -> Hook:
    """The hook at this call of its layer alone, counted from 1."""
    calls = itertools.count(1)
    return lambda args, kwargs, answer: hook(args, kwargs, answer) if next(calls) == number else answer


@contextlib.contextmanager
def hooked(hooks: Iterable[tuple[Any, Hook]]) -> Iterator[None]:
    """Call each hook after its layer's call, in this thread only; several on one layer in this order.

    The call is replaced on the instance. That reaches layers of any topology, on any of Keras' backends, where a
    model of inner tensors (`keras.Model(inputs, layer.output)`) reaches only those of one functional graph. Keras' own
    `__setattr__` is bypassed, since it would track and lock the attribute. The caller must hold `state.lock`: models
    share layers.
    """
    me = threading.get_ident()
    with contextlib.ExitStack() as stack:
        for layer, hook in hooks:
            name = "call" if getattr(layer, "quantization_mode", None) is None else "quantized_call"
            original = getattr(layer, name)

            def call(*args: Any, _original: Any = original, _hook: Hook = hook, **kwargs: Any) -> Any:
                answer = _original(*args, **kwargs)
                return _hook(args, kwargs, answer) if threading.get_ident() == me else answer

            if name in vars(layer):
                stack.callback(object.__setattr__, layer, name, original)
            else:
                stack.callback(object.__delattr__, layer, name)
            object.__setattr__(layer, name, functools.wraps(original)(call))
        yield

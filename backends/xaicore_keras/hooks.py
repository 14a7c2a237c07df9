"""Hooks on the calls of layers, for the length of one pass."""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = ["Around", "Hook", "PassStopped", "at_call", "hooked", "wrapped"]

Hook = Callable[[tuple[Any, ...], dict[str, Any], Any], Any]
"""`hook(args, kwargs, answer)` takes the arguments and the answer of a call; the layer answers what it returns."""

Around = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
"""`around(call, args, kwargs)` is called in place of a layer's call; the layer answers what it returns."""


class PassStopped(BaseException):
    """A hook has what it wants, and ends the pass. Not an Exception, which a model may catch."""


def at_call(number: int, hook: Hook) -> Hook:
    """The hook at this call of its layer alone, counted from 1."""
    calls = itertools.count(1)
    return lambda args, kwargs, answer: hook(args, kwargs, answer) if next(calls) == number else answer


def hooked(hooks: Iterable[tuple[Any, Hook]]) -> contextlib.AbstractContextManager[None]:
    """Call each hook after its layer's call; several on one layer in this order. See `wrapped`."""

    def after(hook: Hook) -> Around:
        return lambda call, args, kwargs: hook(args, kwargs, call(*args, **kwargs))

    return wrapped((layer, after(hook)) for layer, hook in hooks)


@contextlib.contextmanager
def wrapped(layers: Iterable[tuple[Any, Around]]) -> Iterator[None]:
    """Call each function in place of its layer's call, in this thread only; of several, the last one is outermost.

    The call is replaced on the instance. That reaches layers of any topology, on any of Keras' backends, where a
    model of inner tensors (`keras.Model(inputs, layer.output)`) reaches only those of one functional graph. Keras' own
    `__setattr__` is bypassed, since it would track and lock the attribute. The caller must hold `state.lock`: models
    share layers.
    """
    me = threading.get_ident()
    with contextlib.ExitStack() as stack:
        for layer, around in layers:
            name = "call" if getattr(layer, "quantization_mode", None) is None else "quantized_call"
            original = getattr(layer, name)

            def call(*args: Any, _original: Any = original, _around: Around = around, **kwargs: Any) -> Any:
                is_mine = threading.get_ident() == me
                return _around(_original, args, kwargs) if is_mine else _original(*args, **kwargs)

            if name in vars(layer):
                stack.callback(object.__setattr__, layer, name, original)
            else:
                stack.callback(object.__delattr__, layer, name)
            object.__setattr__(layer, name, functools.wraps(original)(call))
        yield

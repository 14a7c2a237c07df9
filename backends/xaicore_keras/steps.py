"""TimeDistributed layers, run on all steps at once.

Keras runs the layer inside of a TimeDistributed once per step. In inference, one call on all steps, as rows of a batch,
gives the same, and each layer inside has one output with a row per step.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import keras

from xaicore_keras.paths import walk

__all__ = ["batched_steps"]


@contextlib.contextmanager
def batched_steps(model: Any) -> Iterator[None]:
    """Run every TimeDistributed layer of Keras' own class with one call of the layer inside of it.

    The caller must hold `state.lock`.
    """
    with contextlib.ExitStack() as stack:
        for layer in walk(model).values():
            if isinstance(layer, keras.layers.TimeDistributed) and "call" not in vars(layer):
                own_call = type(layer).call
                if own_call is not keras.layers.TimeDistributed.call:
                    continue
                object.__setattr__(layer, "call", _batched(layer))
                stack.callback(object.__delattr__, layer, "call")
        yield


def _batched(layer: keras.layers.TimeDistributed) -> Callable[..., Any]:
    original = layer.call

    def call(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if training or mask is not None:
            return original(inputs, training=training, mask=mask)
        inner = layer.layer
        options = {"training": training} if "training" in inspect.signature(inner.call).parameters else {}
        shape = keras.ops.shape(inputs)
        answer = inner.call(keras.ops.reshape(inputs, (-1, *shape[2:])), **options)
        return keras.tree.map_structure(
            lambda rows: keras.ops.reshape(rows, (-1, shape[1], *keras.ops.shape(rows)[1:])), answer
        )

    return call

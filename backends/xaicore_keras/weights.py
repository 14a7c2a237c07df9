"""A model's weights where a training keeps them outside of it, as loops with `stateless_call` do."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Hashable, Iterator
from typing import Any

import keras
import numpy as np

from xaicore import InputError

__all__ = ["assigned", "digest", "hashed"]


def digest(model: keras.Model) -> Hashable:
    """The sum of each trainable variable: it changes when the weights do."""
    return tuple(float(keras.ops.sum(keras.ops.cast(v, "float32"))) for v in model.trainable_variables)


def hashed(model: keras.Model) -> str:
    """A hash of all weights, 32 hexadecimal digits. Names do not count: they differ from process to process."""
    found = hashlib.blake2b(digest_size=16)
    for variable in model.weights:
        found.update(f"{variable.dtype} {tuple(variable.shape)}".encode())
        found.update(np.ascontiguousarray(keras.ops.convert_to_numpy(variable)).tobytes())
    return found.hexdigest()


@contextlib.contextmanager
def assigned(model: keras.Model, variables: Any) -> Iterator[None]:
    """Give the model these values, and its own again afterwards.

    Args:
        model: a built model.
        variables: (trainable, non-trainable) values in the model's order, or the trainable ones alone.

    Raises:
        InputError: there are more or fewer than the model has, or a shape differs.
    """
    values = list(keras.tree.flatten(variables))
    own = [*model.trainable_variables, *model.non_trainable_variables]
    if len(values) == len(model.trainable_variables):
        own = own[: len(values)]
    shapes = [tuple(value.shape) for value in values]
    expected = [tuple(variable.shape) for variable in own]
    if shapes != expected:
        pairs = enumerate(zip(shapes, expected, strict=False))
        where = next((f"; value {i} has shape {a}, expected {b}" for i, (a, b) in pairs if a != b), "")
        raise InputError(
            f"variables: {len(values)} values for the {len(own)} variables of {model.name!r}{where}. Expected "
            "(trainable, non_trainable), as stateless_call takes them"
        )
    before = [keras.ops.copy(variable.value) for variable in own]
    try:
        for variable, value in zip(own, values, strict=True):
            variable.assign(value)
        yield
    finally:
        for variable, value in zip(own, before, strict=True):
            variable.assign(value)

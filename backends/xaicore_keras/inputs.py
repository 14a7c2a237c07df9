"""The caller's inputs in the form that the model takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from xaicore import InputError
from xaicore.trees import map_leaves
from xaicore_keras.private import all_layers, functional_of

__all__ = [
    "Inputs",
    "Structure",
    "known_inputs",
    "picture_of",
    "picture_size",
    "prepare",
    "takes_channels_last",
    "with_batch_axis",
]

_CHANNELS = (1, 3, 4)
"""How many a picture has: grey, colours, and colours beside how opaque they are."""


@dataclass(frozen=True)
class Slot:
    """A placeholder for a tensor among the arguments."""

    index: int


@dataclass(frozen=True)
class Structure:
    """The model's arguments with a `Slot` in place of each tensor, so that a trace may keep them."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def pack(self, tensors: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments with these tensors."""

        def fill(leaf: Any) -> Any:
            return tensors[leaf.index] if isinstance(leaf, Slot) else leaf

        return keras.tree.map_structure(fill, self.args), keras.tree.map_structure(fill, dict(self.kwargs))


@dataclass(frozen=True)
class Inputs:
    """One batch: arrays or tensors of the running backend, and the structure in which the model takes them."""

    structure: Structure
    tensors: tuple[Any, ...]

    @property
    def picture(self) -> Any:
        """The input with the most axes."""
        return picture_of(self.tensors)

    @property
    def count(self) -> int:
        """N, the number of images."""
        return int(self.picture.shape[0])

    def first(self) -> Inputs:
        """The first image alone."""
        return self.map(lambda tensor: tensor[:1])

    def differentiable(self) -> Inputs:
        """The same inputs with pictures of integers as floating-point numbers, which gradients lead to."""
        return Inputs(self.structure, tuple(map(_floating_picture, self.tensors)))

    def map(self, function: Callable[[Any], Any]) -> Inputs:
        """The same inputs with a function applied to every tensor that has a row per image."""
        count = self.count
        tensors = (function(t) if len(t.shape) and t.shape[0] == count else t for t in self.tensors)
        return Inputs(self.structure, tuple(tensors))

    def signature(self, with_batch: bool) -> tuple[Any, ...]:
        """(structure, shapes, types), which a trace depends on; without the batch size, None stands for it."""
        count, shapes = self.count, (tuple(map(int, t.shape)) for t in self.tensors)
        free = (s if with_batch or not s or s[0] != count else (None, *s[1:]) for s in shapes)
        types = (keras.backend.standardize_dtype(t.dtype) for t in self.tensors)
        return repr(self.structure), tuple(free), tuple(types)

    def __str__(self) -> str:
        return ", ".join(f"{tuple(t.shape)} {keras.backend.standardize_dtype(t.dtype)}" for t in self.tensors)


def picture_of(tensors: Sequence[Any]) -> Any:
    """The tensor with the most axes, the first of several."""
    return max(tensors, key=lambda tensor: len(tensor.shape))


def _floating_picture(tensor: Any) -> Any:
    is_picture = len(tensor.shape) > 2 and keras.backend.is_int_dtype(keras.backend.standardize_dtype(tensor.dtype))
    if not is_picture:
        return tensor
    floatx = keras.config.floatx()
    return keras.ops.cast(tensor, floatx) if keras.ops.is_tensor(tensor) else tensor.astype(floatx)


def prepare(model: Any, inputs: Any) -> Inputs:
    """Arrays and tensors of one batch; floating-point arrays get Keras' default type.

    A functional or Sequential model takes one structure. A subclassed model's `call` may have several parameters: a
    tuple is then its positional arguments, and a dict of their names its keyword arguments. A single array one axis
    short for the model gets a batch axis.

    Raises:
        InputError: nothing in it is a tensor or array, shapes do not fit the model, the batch is empty, or
            values are NaN or infinite.
    """
    args, kwargs = _arguments(model, inputs)
    tensors: list[Any] = []

    def collect(leaf: Any) -> Any:
        if not hasattr(leaf, "shape"):
            return leaf
        tensors.append(_tensor(f"input {len(tensors)}" if kwargs or len(args) > 1 else "the input", leaf))
        return Slot(len(tensors) - 1)

    # In the caller's order: Keras' own walk sorts the keys of dictionaries.
    structure = Structure(map_leaves(collect, args), map_leaves(collect, kwargs))
    if not tensors:
        raise InputError(f"no tensor or array among the inputs ({type(inputs).__name__}): expected (N, H, W, C)")
    if len(tensors) == 1:
        tensors = [_fitted(model, tensors[0])]
    batch = Inputs(structure, tuple(tensors))
    if not len(batch.picture.shape) or any(len(t.shape) and not t.shape[0] for t in tensors):
        raise InputError(f"the batch is empty: inputs {batch}; expected one image or more")
    return batch


def known_inputs(model: Any) -> list[Any] | None:
    """The symbolic inputs of a functional or built Sequential model; None for a subclassed one."""
    functional = functional_of(model) or model
    return keras.tree.flatten(functional.inputs) if hasattr(functional, "operations") else None


def with_batch_axis(model: Any, value: Any) -> Any:
    """A single array or tensor that lacks the batch axis for the model gets one; all else stays as it is.

    Raises:
        InputError: the model takes no input of this shape.
    """
    if not hasattr(value, "shape"):
        return value
    fitted = _fitted(model, value)
    return fitted if tuple(fitted.shape) == (1, *value.shape) else value


def takes_channels_last(model: Any) -> bool:
    """Whether pictures are (N, H, W, C): by the shape of the first input, else as Keras is configured."""
    inputs = known_inputs(model)
    shape = tuple(inputs[0].shape) if inputs else ()
    are_first, are_last = (len(shape) == 4 and shape[axis] in _CHANNELS for axis in (1, -1))
    if are_first != are_last:
        return are_last
    return bool(keras.config.image_data_format() == "channels_last")


def picture_size(model: Any) -> tuple[int, int] | None:
    """(height, width) of the pictures that a model takes; None where it does not take one input, of one size."""
    inputs = known_inputs(model) or ()
    shape = tuple(inputs[0].shape) if len(inputs) == 1 else ()
    size = shape[1:3] if takes_channels_last(model) else shape[2:]
    return size if len(shape) == 4 and all(isinstance(one, int) for one in size) else None


def _arguments(model: Any, inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    one_structure = isinstance(model, keras.Sequential) or known_inputs(model) is not None
    parameters = [] if one_structure else _parameters(model)
    if isinstance(inputs, Mapping):
        by_name = bool(parameters) and set(inputs) <= {parameter.name for parameter in parameters}
        return ((), dict(inputs)) if by_name else ((dict(inputs),), {})
    if isinstance(inputs, tuple):
        if len(inputs) == 1:
            return inputs, {}
        several = any(p.kind is p.VAR_POSITIONAL for p in parameters) or len(parameters) >= len(inputs)
        return (inputs, {}) if several else ((inputs,), {})
    if isinstance(inputs, list) and len(inputs) > 1 and len(known_inputs(model) or inputs) == 1:
        raise InputError(
            f"the inputs are a list of {len(inputs)}, and the model takes one input: stack images to one array "
            "(N, H, W, C). Pictures of different sizes have a map each: "
            "xaicore.explain_each(xaicore.Explainer(model), x)"
        )
    return (inputs,), {}


def _parameters(model: Any) -> list[inspect.Parameter]:
    """The parameters of a subclassed model's call that may take inputs."""
    return [
        parameter
        for parameter in inspect.signature(model.call).parameters.values()
        if parameter.name not in ("training", "mask") and parameter.kind is not parameter.VAR_KEYWORD
    ]


def _tensor(name: str, value: Any) -> Any:
    if not keras.ops.is_tensor(value):  # an array, or another framework's tensor
        try:
            value = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
        except Exception as exc:
            raise InputError(f"{name} is a {type(value).__name__} that does not become an array: {exc}") from exc
        if value.dtype.kind == "f":
            value = value.astype(keras.config.floatx(), copy=False)
    # Arrays are tensors where Keras runs on NumPy.
    if isinstance(value, np.ndarray) and value.dtype.kind not in "fiub" and "float" not in value.dtype.name:
        raise InputError(f"{name} is an array of type {value.dtype}; expected numbers")
    _check_finite(name, value)
    return value


def _check_finite(name: str, value: Any) -> None:
    if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(value.dtype)):
        return
    # The sum of a sound input is finite, and costs a fraction of a test of every value.
    if keras.ops.is_tensor(value):
        total = keras.ops.convert_to_numpy(keras.ops.sum(keras.ops.cast(value, "float32")))
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            total = value.sum(dtype=np.float32)
    if not np.isfinite(total):
        array = np.asarray(keras.ops.convert_to_numpy(value) if keras.ops.is_tensor(value) else value)
        bad = int(array.size - np.isfinite(array).sum())
        if bad:
            raise InputError(f"{name} has {bad} NaN or infinite values of {array.size}; expected finite ones")


def _fitted(model: Any, value: Any) -> Any:
    """A single input, with a batch axis where only that is missing."""
    known = known_inputs(model)
    if known is None:
        rank = _first_rank(model)
        return value[None] if rank is not None and len(value.shape) == rank - 1 else value
    if len(known) != 1:
        return value
    expected = tuple(known[0].shape)
    shape = tuple(value.shape)
    if _fits(shape, expected):
        return value
    channel = _with_channel(value, expected)
    if channel is not None:
        return channel
    if _fits((1, *shape), expected):
        return value[None]
    raise InputError(f"the input has shape {shape}; the model takes {expected}{_layout_hint(shape, expected)}")


def _with_channel(value: Any, expected: tuple[int | None, ...]) -> Any:
    """With a last axis of one channel, or without it, as Keras itself adds or drops one; None where neither fits."""
    shape = tuple(value.shape)
    if _fits((*shape, 1), expected):
        return value[..., None]
    return value[..., 0] if shape[-1:] == (1,) and _fits(shape[:-1], expected) else None


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    """Whether a shape is the expected one, of any batch size, which Keras itself does not check."""
    if len(shape) != len(expected):
        return False
    return all(fixed in (None, length) for length, fixed in zip(shape[1:], expected[1:], strict=True))


def _layout_hint(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> str:
    """How to move the channels, where the model takes them on the other side."""
    missing = len(expected) - len(shape)
    if missing not in (0, 1) or len(expected) < 3:
        return ""
    whole = (1,) * missing + shape
    if _fits((whole[0], *whole[2:], whole[1]), expected):
        return f". Its channels come last: pass np.moveaxis(x, {1 - missing}, -1)"
    if _fits((whole[0], whole[-1], *whole[1:-1]), expected):
        return f". Its channels come first: pass np.moveaxis(x, -1, {1 - missing})"
    return ""


def _first_rank(model: Any) -> int | None:
    """The number of axes that the first convolution takes."""
    for layer in all_layers(model):
        if hasattr(layer, "kernel_size") and isinstance(getattr(layer, "rank", None), int):
            return layer.rank + 2
    return None

"""The end of a model: what it puts on its logits, and how to run it without that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras

from xaicore_keras.hooks import Hook

if TYPE_CHECKING:
    from xaicore_keras.survey import Call

__all__ = ["Head", "find_head", "head_hook"]

# They pass on what they are given, at most in another shape or type.
_PASSING = (
    *("Reshape", "Flatten", "Squeeze", "ExpandDims", "Cast", "Identity"),
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout"),
    *("GaussianNoise", "GaussianDropout"),
)
# Activations that are no link: what comes out of them is neither a logit nor a probability.
_BENDING = ("ReLU", "LeakyReLU", "PReLU", "ELU")
_LINKS = {"softmax": "softmax", "softmax_v2": "softmax", "log_softmax": "softmax", "sigmoid": "sigmoid"}


@dataclass(frozen=True)
class Head:
    """The layer that puts the link on, and which of its calls does.

    Attributes:
        path: of the layer.
        call: counted from 1.
        is_bare: it is nothing but the link (a Softmax or Activation layer, an operation), so that its input
            are the logits; else a layer with an `activation`.
    """

    path: str
    call: int
    is_bare: bool


def find_head(calls: Sequence[Call], y: Any) -> tuple[str | None, str | None, Head | None]:
    """(kind, link, head) of outputs y, from the calls of one run in order of completion.

    Walks from the innermost layer whose output is the model's up through layers that only pass it on. A kind of
    None: something made the outputs that cannot be looked into from here.
    """
    at = next((i for i, call in enumerate(calls) if call.output is y), None)
    end = None if at is None else calls[at]
    while at is not None:
        call = calls[at]
        link, is_bare = _link_of(call)
        if link == "softmax" and _classes(call) != _classes(end):
            return None, None, None  # over something else than the outputs' classes
        if link is not None:
            number = sum(earlier.path == call.path for earlier in calls[: at + 1])
            return "logits", link, Head(call.path, number, is_bare)
        if not _passes(call.layer):
            return _kind_without_link(call.layer), None, None
        at = _producer(calls, at)
    return None, None, None


def head_hook(layer: Any, head: Head) -> Hook:
    """Makes the layer answer with its logits at that call; the rest of the model runs on with them."""
    calls = 0

    def hook(args: tuple[Any, ...], kwargs: dict[str, Any], answer: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != head.call:
            return answer
        if head.is_bare:
            return next(part for part in keras.tree.flatten((args, kwargs)) if keras.ops.is_tensor(part))
        return _linear_twin(layer)(*args, **kwargs)

    return hook


def _linear_twin(layer: keras.Layer) -> Any:
    """The call of a layer of the same class on the same variables, without the activation.

    A twin, because the user's own layer may be running in another thread.
    """
    twin = object.__new__(type(layer))
    object.__setattr__(twin, "__dict__", {**vars(layer), "activation": keras.activations.linear})
    for name in ("call", "quantized_call"):  # hooks of ours, bound to the original
        vars(twin).pop(name, None)
    return twin.call if getattr(layer, "quantization_mode", None) is None else twin.quantized_call


def _classes(call: Call) -> int | None:
    return call.output.shape[call.axis] if len(call.output.shape) > 1 else 1


def _link_of(call: Call) -> tuple[str | None, bool]:
    """(link, whether the layer is nothing else).

    None for a softmax over something else than the classes, one with a mask, and for a layer of the user's class,
    which may do more after its activation.
    """
    layer, axis = call.layer, -1
    if not isinstance(layer, keras.Layer):
        link, is_bare = _LINKS.get(_snake(type(layer).__name__)), True
        axis = getattr(layer, "axis", -1)
    elif not type(layer).call.__module__.startswith("keras."):
        return None, False
    elif isinstance(layer, keras.layers.Softmax):
        link, is_bare, axis = "softmax" if len(call.inputs) == 1 else None, True, layer.axis
    else:
        activation = vars(layer).get("activation")  # not a recurrent layer's, which is that of its inner steps
        link = _LINKS.get(getattr(activation, "__name__", "") or _snake(type(activation).__name__))
        is_bare = isinstance(layer, keras.layers.Activation)
    rank = len(call.output.shape)
    if link == "softmax" and (not isinstance(axis, int) or axis % rank != call.axis % rank):
        return None, False
    return link, is_bare


def _snake(name: str) -> str:
    return {"LogSoftmax": "log_softmax"}.get(name, name.lower())


def _passes(layer: Any) -> bool:
    if isinstance(layer, keras.layers.Activation):
        return layer.activation is keras.activations.linear
    return type(layer).__name__ in _PASSING


def _kind_without_link(layer: Any) -> str | None:
    activation = getattr(layer, "activation", None)
    if type(layer).__name__ in _BENDING or activation not in (None, keras.activations.linear):
        return "values"
    is_plain = hasattr(layer, "kernel") and type(layer).call.__module__.startswith("keras.")
    return "logits" if is_plain else None


def _producer(calls: Sequence[Call], at: int) -> int | None:
    """The call that made the input of call `at`; innermost first."""
    wanted = calls[at].input
    for i, call in enumerate(calls[:at]):
        if call.output is wanted:
            return i
    # Mixed precision hands on a copy in another type: then it is the call before, if that has the shape.
    if at and wanted is not None and calls[at - 1].output is not None:
        before = calls[at - 1].output
        if before.dtype != wanted.dtype and tuple(before.shape) == tuple(wanted.shape):
            return at - 1
    return None

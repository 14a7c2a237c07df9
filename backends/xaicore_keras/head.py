"""The link at the end of a model (a softmax or sigmoid), and how to run the model without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from xaicore_keras.calls import Call, first_tensor, producer, shape_of
from xaicore_keras.hooks import Hook, at_call
from xaicore_keras.layout import is_identity, permutation, reshaped_axis
from xaicore_keras.private import call_of_keras

__all__ = ["Head", "KeptLogits", "find_head", "head_hook", "logits_of"]

_RESHAPING = ("Reshape", "Flatten", "Squeeze", "ExpandDims", "Cast")
# Activations that are no link: what comes out of them is neither a logit nor a probability.
_BENDING = ("ReLU", "LeakyReLU", "PReLU", "ELU")
# Names of functions (tf.nn.softmax calls itself softmax_v2) and of operations, in lower case.
_SOFTMAXES = ("softmax", "softmax_v2", "log_softmax", "logsoftmax")


@dataclass(frozen=True)
class Head:
    """The layer that applies the link, and which of its calls does.

    Attributes:
        path: of the layer.
        call: counted from 1.
        is_bare: the layer is nothing but the link (a Softmax or Activation layer, an operation), so that its input
            are the logits; else it is a layer with an `activation`.
        after: the paths of the layers and operations behind it that reshape or permute what it gives.
    """

    path: str
    call: int
    is_bare: bool
    after: tuple[str, ...] = ()


def find_head(calls: Sequence[Call], y: Any) -> tuple[str | None, str | None, Head | None]:
    """(kind, link, head) of outputs y, from the calls of one pass in order of completion.

    Walks up from the innermost layer whose output is y, through layers that only pass it on, reshape or permute it.
    A kind of None: y was made by something that does not show what it computes.
    """
    at = next((i for i, call in enumerate(calls) if call.output is y), None)
    end = None if at is None else calls[at]
    axis = None if end is None else end.axis  # of the classes, before what is walked through; None: as the call says
    is_permuted = False
    after: list[str] = []
    while at is not None and end is not None:
        call = calls[at]
        classes = call.axis if axis is None else axis
        link, is_bare = _link_of(call, classes if is_permuted else call.axis)
        if link == "softmax" and _length(call, classes) != _length(end, end.axis):
            return None, None, None  # not over the classes of y
        if link is not None:
            number = sum(earlier.path == call.path for earlier in calls[: at + 1])
            return "logits", link, Head(call.path, number, is_bare, tuple(reversed(after)))
        order = permutation(call.layer, len(call.shape))
        if order is not None:
            axis, is_permuted = order[classes], True
        elif _reshapes(call.layer):
            axis = reshaped_axis(call.shape, shape_of(call.input), classes)
            if axis is None and is_permuted:
                return None, None, None
        elif not is_identity(call.layer):
            return _kind_without_link(call.layer), None, None
        if not is_identity(call.layer):
            after.append(call.path)
        at = producer(calls, at)
    return None, None, None


def head_hook(layer: Any, head: Head) -> Hook:
    """A hook that makes the layer answer with its logits at the call of the head; the model continues with them."""

    return at_call(head.call, lambda args, kwargs, answer: logits_of(layer, head, args, kwargs))


def logits_of(layer: Any, head: Head, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What the layer of the head answers without its link."""
    return first_tensor((args, kwargs)) if head.is_bare else _linear_twin(layer)(*args, **kwargs)


class KeptLogits:
    """The logits of a pass whose model continues with its own answer at the head, so that all outputs are its own.

    `before` and `after` are hooks on the head's layer, around those that replace its answer.
    """

    def __init__(self) -> None:
        self._answer: Any = None
        self._logits: Any = None

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any], answer: Any) -> Any:
        """Keep the layer's own answer."""
        self._answer = answer
        return answer

    def after(self, args: tuple[Any, ...], kwargs: dict[str, Any], answer: Any) -> Any:
        """Keep the logits; the layer gives its own answer."""
        self._logits = first_tensor(answer)
        return self._answer

    def in_place_of(self, y: Any, after: Sequence[Any]) -> Any:
        """The logits in the axes and type of the model's output y, which the layers `after` the head made."""
        logits = self._logits
        for layer in after:
            logits = layer.call(logits)
        return keras.ops.cast(logits, y.dtype)


def _linear_twin(layer: keras.Layer) -> Any:
    """The call of a layer of the same class on the same variables, without the activation.

    A twin, because the user's own layer may be running in another thread.
    """
    twin = object.__new__(type(layer))
    object.__setattr__(twin, "__dict__", {**vars(layer), "activation": keras.activations.linear})
    for name in ("call", "quantized_call"):  # our hooks, bound to the original
        vars(twin).pop(name, None)
    return twin.call if getattr(layer, "quantization_mode", None) is None else twin.quantized_call


def _length(call: Call, axis: int) -> int | None:
    shape = call.output.shape
    return shape[axis] if len(shape) > 1 else 1


def _reshapes(layer: Any) -> bool:
    return type(layer).__name__ in _RESHAPING and call_of_keras(layer)


def _link_of(call: Call, class_axis: int) -> tuple[str | None, bool]:
    """(link, whether the layer is nothing else), of a call whose output has the classes on this axis.

    The link is None for a softmax over another axis than the classes, for one with a mask, and for a layer of the
    user's class, which may do more after its activation.
    """
    layer, axis = call.layer, -1
    if not isinstance(layer, keras.Layer):
        link, is_bare = _link_named(layer), True
        axis = getattr(layer, "axis", -1)
    elif not call_of_keras(layer):
        return None, False
    elif isinstance(layer, keras.layers.Softmax):
        link, is_bare, axis = "softmax" if len(call.inputs) == 1 else None, True, layer.axis
    else:
        # Not an inherited property: a recurrent layer's is that of its inner steps.
        link, is_bare = _link_named(vars(layer).get("activation")), isinstance(layer, keras.layers.Activation)
    rank = len(call.output.shape)
    if link == "softmax" and (not isinstance(axis, int) or axis % rank != class_axis % rank):
        return None, False
    return link, is_bare


def _link_named(function: Any) -> str | None:
    """The link that a function, or an object such as a layer or an operation, computes by its name."""
    name = getattr(function, "__name__", type(function).__name__).lower()
    return "softmax" if name in _SOFTMAXES else "sigmoid" if name == "sigmoid" else None


def _kind_without_link(layer: Any) -> str | None:
    activation = getattr(layer, "activation", None)
    if type(layer).__name__ in _BENDING or activation not in (None, keras.activations.linear):
        return "values"
    return "logits" if hasattr(layer, "kernel") and call_of_keras(layer) else None

"""The facts of a model: what one pass shows, one pull-back of all outputs, and one push per input."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from xaicore import Facts, outputs
from xaicore.recording import Arguments, Call, mixture, read_inputs, read_tokens
from xaicore_flax.watch import Watch, differentiable

__all__ = ["survey"]

KINDS = {
    "convolution": (nnx.Conv, nnx.ConvTranspose),
    "norm": (nnx.BatchNorm, nnx.LayerNorm, nnx.RMSNorm, nnx.GroupNorm),
    "dense": (nnx.Linear, nnx.LinearGeneral, nnx.Einsum),
    "attention": (nnx.MultiHeadAttention,),
    "embedding": (nnx.Embed,),
}


def survey(watch: Callable[..., Watch], x: Arguments) -> Facts:
    """The facts, from the first image `x`."""
    seen, names = watch(x), list(x)
    recording = seen.recording

    def calls(i: int, array: jax.Array) -> list[Call]:
        """Those of a pass with another array in the place of input i."""
        return watch(Arguments({**x, names[i]: array})).recording.calls

    def push(i: int) -> list[jax.Array]:
        array = recording.inputs[i]
        along = jnp.asarray(mixture(array.shape), array.dtype)
        return jax.jvp(lambda array: [call.output for call in calls(i, array)], (array,), (along,))[1]

    def pull(of: Callable[[Call], jax.Array], call: Call, i: int, weights: np.ndarray) -> np.ndarray:
        """The gradient at input i of an array of a call."""
        at = recording.calls.index(call)
        _, pull = jax.vjp(lambda array: of(calls(i, array)[at]), recording.inputs[i])
        return np.asarray(pull(jnp.asarray(weights, of(call).dtype))[0])

    recording.note_reads(push)
    floats = [call.key for call in recording.calls if call.is_float]
    rows, pull_back, _ = differentiable(watch, x, floats)
    recording.note_reached(pull_back(jnp.asarray(mixture(rows.shape), rows.dtype))[0])
    of_layers = [
        recording.layer(
            call,
            kind=_kind(call),
            channel_axis=_channels(call.output, call, "convolution", "norm"),
            is_leaf=not any(isinstance(child, nnx.Module) for _, child in nnx.iter_children(call.layer)),
        )
        for call in recording.listed()
    ]
    of_layers = read_tokens(recording, of_layers, partial(pull, lambda call: call.output))
    of_taken = partial(pull, lambda call: call.taken[0])
    of_inputs = read_inputs(recording, lambda call: _channels(call.taken[0], call, "convolution"), of_taken)
    ends = [_kind(call) in ("convolution", "dense") for call in recording.calls if call.output is seen.output]
    axis = 1 if rows.ndim < 3 else rows.ndim - 1 if any(ends) else None
    is_softmax = axis == 1 and outputs.are_probabilities(np.asarray(rows, np.float32))
    last = _last(jax.make_jaxpr(lambda x: watch(Arguments(x)).output)(dict(x)).jaxpr)
    link = "softmax" if is_softmax else "sigmoid" if last == "logistic" else None
    shapes = {name: outputs.part_shape(part) for name, part in seen.parts.items()}
    return Facts(*(tuple(of_layers), tuple(of_inputs)), link=link, output=seen.name, outputs=shapes, class_axis=axis)


def _channels(array: jax.Array, call: Call, *of: str) -> int | None:
    return array.ndim - 1 if _kind(call) in of else None


def _kind(call: Call) -> str | None:
    return next((kind for kind, known in KINDS.items() if isinstance(call.maker.layer, known)), None)


def _last(jaxpr: Any) -> str | None:
    """The last operation; of a function around it, such as `nnx.sigmoid`, the last one inside."""
    last = next((one for one in jaxpr.eqns if jaxpr.outvars[0] in one.outvars), None)
    inside = last and (last.params.get("jaxpr") or last.params.get("call_jaxpr"))
    return _last(inside.jaxpr) if inside else last and last.primitive.name

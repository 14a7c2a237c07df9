"""One run of a model: any arguments, hooks on, nothing of the model changed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from xaicore import BackendError
from xaicore_keras.head import head_hook
from xaicore_keras.hooks import Hook, hooked
from xaicore_keras.inputs import Structure
from xaicore_keras.paths import walk
from xaicore_keras.survey import Plan, first_tensor, replace_first_tensor

__all__ = ["Program", "Tap", "choose", "run_model"]

Tap = Callable[[Any], Any]
"""`tap(tensor)`: sees a layer's output and returns what the model goes on with."""


def run_model(
    model: keras.Layer,
    structure: Structure,
    tensors: Sequence[Any],
    hooks: Iterable[tuple[Any, Hook]],
    weights: Sequence[Any] | None = None,
) -> Any:
    """The model's answer in inference mode; `weights` stand in for `model.variables`.

    In a stateless scope, what the model assigns (seeds, counters, statistics) is assigned to nothing.
    """
    args, kwargs = structure.pack(tensors)
    mapping = None if weights is None else list(zip(model.variables, weights, strict=True))
    with hooked(hooks), keras.StatelessScope(mapping, initialize_variables=False):
        return model(*args, **kwargs, training=False)


@dataclass(frozen=True)
class Program:
    """The model as a function of flat tensors, with logits where they can be reached.

    Traces keep programs: so it holds the model weakly.
    """

    model: weakref.ref[Any]
    structure: Structure
    output: int | str | None
    plan: Plan

    def __call__(self, tensors: Sequence[Any], taps: Mapping[str, Tap], weights: Sequence[Any] | None = None) -> Any:
        """The chosen output (N, ...) of one run; each tap sees its layer's last call."""
        model = self.model()
        layers = walk(model)
        hooks = [(layers[name], _at_call(self.plan.places[name].calls, tap)) for name, tap in taps.items()]
        if self.plan.head is not None:
            hooks.insert(0, (layers[self.plan.head.path], head_hook(layers[self.plan.head.path], self.plan.head)))
        return choose(model, run_model(model, self.structure, tensors, hooks, weights), self.output)


def _at_call(last: int, tap: Tap) -> Hook:
    calls = 0

    def hook(args: tuple[Any, ...], kwargs: dict[str, Any], answer: Any) -> Any:
        nonlocal calls
        calls += 1
        return replace_first_tensor(answer, tap) if calls == last else answer

    return hook


def choose(model: Any, answer: Any, output: int | str | None) -> Any:
    """The tensor among the model's outputs that is explained.

    Raises:
        BackendError: there is none, or several and `output` does not say which.
    """
    parts = _parts(model, answer)
    names = ", ".join(f"{key!r} {tuple(tensor.shape)}" for key, tensor in parts.items()) or type(answer).__name__
    if output is not None:
        keys = list(parts)
        known = isinstance(output, int) and -len(keys) <= output < len(keys)
        key = keys[output] if known and output not in parts else output
        if key not in parts:
            raise BackendError(f"output={output!r} is none of the model's outputs: {names}")
        return parts[key]
    if len(parts) == 1:
        return next(iter(parts.values()))
    if parts:
        raise BackendError(f"the model has {len(parts)} outputs, {names}: say which one, output={next(iter(parts))!r}")
    raise BackendError(f"the model answered no tensor but a {names}; expected outputs (N, classes)")


def _parts(model: Any, answer: Any) -> dict[int | str, Any]:
    """{name or index: tensor}; a functional model's list of outputs by their names."""
    if isinstance(answer, Mapping):
        found = dict(answer)
    elif isinstance(answer, (list, tuple)):
        names = getattr(model, "output_names", None) or ()
        keys = names if len(set(names)) == len(answer) else range(len(answer))
        found = dict(zip(keys, answer, strict=True))
    else:
        found = {0: answer}
    tensors = {key: first_tensor(part) for key, part in found.items()}
    return {key: tensor for key, tensor in tensors.items() if tensor is not None}

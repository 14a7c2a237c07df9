"""One pass of a copy of a model, in which the output of every module is seen, and may be changed.

The model itself is never touched: `nnx.clone` copies its structure and shares its arrays, which JAX never writes to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.attention import dot_product_attention_weights
from flax.nnx.tracers import TraceState

from xaicore import outputs
from xaicore.recording import Arguments, Call, Recording

__all__ = ["Watch", "differentiable"]


class Watch:
    """A pass in evaluation mode. What runs inside of the model's own `nnx.jit` or `nnx.scan` is left out.

    Args:
        model, output, x: the model, which of its outputs is explained, and what it is called with.
        added, given: {key: what is added to this value, or what the model goes on with in its place}.

    Attributes:
        parts, name, output: all outputs, and which one of them is explained.
        recording: of the modules that gave an array.
        values: as in `xaicore.recording.Pass`.
    """

    def __init__(
        self, model: nnx.Module, output: Any, x: Arguments, added: Mapping[str, Any] = {}, given: Mapping[str, Any] = {}
    ) -> None:
        self.recording, self.values = Recording[Call](list(x.values())), dict[str, jax.Array]()
        self._added, self._given, self._outside, copy = added, given, TraceState(), nnx.clone(model)
        for path, module in list(nnx.iter_modules(copy)):
            name = ".".join(map(str, path))
            if isinstance(module, nnx.MultiHeadAttention) and module.attention_fn is nnx.dot_product_attention:
                module.attention_fn = partial(self._attend, name)
            if path and callable(module):
                module.xaicore_seen = partial(self._seen, name, module)
                module.__class__ = _watched(type(module))
        copy.eval()
        with x.model_errors():
            answer = copy(*x.args, **x.kwargs)
        self.parts = outputs.parts_of(answer, lambda part: isinstance(part, jax.Array), x.count)
        self.name = outputs.choose_name(self.parts, output, answer)
        self.output = self.parts[self.name]

    def _value(self, key: str, value: jax.Array) -> jax.Array:
        value = jnp.asarray(self._given[key], value.dtype) if key in self._given else value
        self.values[key] = value + self._added[key] if key in self._added else value
        return self.values[key]

    def _seen(self, name: str, module: nnx.Module, taken: Any, given: Any) -> Any:
        if isinstance(given, jax.Array) and self._outside.is_valid():  # inside of nnx.jit, arrays mean nothing outside
            arrays = [leaf for leaf in jax.tree.leaves(taken) if isinstance(leaf, jax.Array)]
            given = self._value(f"{name}#{len(self.recording.runs(name)) + 1}", given)
            self.recording.add(Call(name, given, arrays, module))
        return given

    def _attend(self, name: str, query: Any, key: Any, value: Any, **options: Any) -> jax.Array:
        """`nnx.dot_product_attention` in its two steps, so that the weights between them can be seen and changed."""
        run = 1 + sum(key.startswith((f"{name} ", f"{name}#")) and key.endswith(" weights") for key in self.values)
        name = name if run == 1 else f"{name}#{run}"
        weights = self._value(f"{name} weights", dot_product_attention_weights(query, key, **options))
        key, value = (jnp.repeat(one, query.shape[-2] // one.shape[-2], axis=-2) for one in (key, value))
        each = {"query": query, "key": key, "value": value}
        self.values |= {f"{name} {part}": one.swapaxes(1, 2) for part, one in each.items()}
        return self._value(f"{name} output", weights @ self.values[f"{name} value"]).swapaxes(1, 2)


def differentiable(watch: Callable[..., Watch], x: Arguments, pulls: Collection[int | str]) -> Any:
    """The outputs, a function that pulls back from there to {key: gradient} and {argument: gradient}, and all values.

    The gradient of a value is that of zeros which are added to it.
    """

    def run(added: dict[str, jax.Array], floats: dict[Any, jax.Array]) -> tuple[jax.Array, dict[str, jax.Array]]:
        seen = watch(Arguments({**x, **floats}), added)
        return seen.output, seen.values

    shapes = jax.eval_shape(run, {}, {})[1] if pulls else {}
    zeros = {key: jnp.zeros(shapes[key].shape, shapes[key].dtype) for key in pulls if key in shapes}
    floats = {name: x[name] for name in pulls if name in x and jnp.issubdtype(x[name].dtype, jnp.floating)}
    return jax.vjp(run, zeros, floats, has_aux=True)


@cache
def _watched(cls: type) -> type:
    """A subclass that shows what it gives: Python looks `__call__` up in the class, not in the instance."""

    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self.xaicore_seen((args, kwargs), cls.__call__(self, *args, **kwargs))

    return type(cls.__name__, (cls,), {"__call__": __call__, "__module__": cls.__module__})

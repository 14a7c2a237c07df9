"""One pass of a copy of a model, in which the output of every module is seen, and may be changed.

The model itself is never touched: `nnx.clone` copies its structure and shares its arrays, which JAX never writes to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.attention import dot_product_attention_weights
from flax.nnx.tracers import TraceState

from xaicore import InputError, outputs

__all__ = ["Inputs", "Watch"]

Inputs = Mapping[int | str, jax.Array]
"""What a model takes, by position or by name."""


class Watch:
    """A copy of a model in evaluation mode; it runs once.

    What runs inside of a transformation of the model's own, such as `nnx.jit` or `nnx.scan`, is left out: its arrays
    mean nothing outside.

    Attributes:
        values: {"conv#1": the output of the first run of `conv`}, in order of completion.
        taken: {"conv#1": the arrays that this run took}.
        attention: {name: query, key, value (N, length, H, D), weights (N, H, Q, T), output (N, Q, H, D)}.
    """

    def __init__(self, model: nnx.Module, change: Callable[[str, Any], Any] = lambda key, value: value) -> None:
        self.values: dict[str, jax.Array] = {}
        self.taken: dict[str, list[Any]] = {}
        self.attention: dict[str, tuple[jax.Array, ...]] = {}
        self._change, self._count = change, dict[str, int]()
        self.model = nnx.clone(model)
        for path, module in list(nnx.iter_modules(self.model)):
            name = ".".join(map(str, path))
            if isinstance(module, nnx.MultiHeadAttention) and module.attention_fn is nnx.dot_product_attention:
                module.attention_fn = partial(self._attend, name)
            if path and callable(module):
                module.__class__, module.xaicore_seen = _watched(type(module)), partial(self._seen, name)
        self.model.eval()
        self._outside = TraceState()

    def run(self, x: Inputs, output: int | str | None) -> jax.Array:
        """The model's output (N, ...)."""
        try:
            answer = self.model(*(x[i] for i in x if isinstance(i, int)), **{i: x[i] for i in x if isinstance(i, str)})
        except (TypeError, ValueError) as exc:
            shapes = ", ".join(str(array.shape) for array in x.values())
            raise InputError(f"{type(self.model).__name__} does not take inputs of shape {shapes}: {exc}") from exc
        parts = outputs.parts_of(answer, lambda part: isinstance(part, jax.Array), len(next(iter(x.values()))))
        return outputs.choose_output(parts, output, answer)

    def _numbered(self, name: str) -> str:
        self._count[name] = self._count.get(name, 0) + 1
        return f"{name}#{self._count[name]}"

    def _seen(self, name: str, taken: Any, given: Any) -> Any:
        if isinstance(given, jax.Array) and self._outside.is_valid():
            run = self._numbered(name)
            self.taken[run] = [leaf for leaf in jax.tree.leaves(taken) if isinstance(leaf, jax.Array)]
            given = self.values[run] = self._change(run, given)
        return given

    def _attend(self, name: str, query: Any, key: Any, value: Any, **options: Any) -> jax.Array:
        """`nnx.dot_product_attention` in its two steps, so that the weights between them can be seen and changed."""
        name = self._numbered(f"{name} attends").replace(" attends", "").removesuffix("#1")
        weights = self._change(f"{name} weights", dot_product_attention_weights(query, key, **options))
        key, value = (jnp.repeat(one, query.shape[-2] // one.shape[-2], axis=-2) for one in (key, value))
        output = self._change(f"{name} output", jnp.einsum("...hqk,...khd->...qhd", weights, value))
        self.attention[name] = query, key, value, weights, output
        return output


@cache
def _watched(cls: type) -> type:
    """A subclass that shows what it gives: Python looks `__call__` up in the class, not in the instance."""

    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self.xaicore_seen((args, kwargs), cls.__call__(self, *args, **kwargs))

    return type(cls.__name__, (cls,), {"__call__": __call__, "__module__": cls.__module__})

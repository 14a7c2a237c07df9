"""The backend: activations, gradients, attention, and passes that start at a layer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial, reduce
from operator import or_
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from xaicore import Facts, unknown_layer
from xaicore.recording import Arguments, FactsBackend, Pass
from xaicore_flax.survey import survey
from xaicore_flax.watch import Watch, differentiable

__all__ = ["FlaxBackend"]


class FlaxBackend(FactsBackend):
    """Explains one `nnx.Module`."""

    channels_last = True
    powers = frozenset({"attention", "input_gradients", "resume"})

    def __init__(self, model: nnx.Module, output: int | str | None = None) -> None:
        self._model, self.title = model, type(model).__name__
        self._watch = partial(Watch, model, output)

    def arguments(self, inputs: Any) -> Arguments:
        """Arrays of JAX."""
        return Arguments.of(inputs, jnp.asarray)

    def layer_name(self, name: str) -> str:
        """The first path of a module that lies at several."""
        known = {".".join(map(str, path)): module for path, module in nnx.iter_modules(self._model) if path}
        found = reduce(_inside, name.split("."), self._model)
        first = next((path for path, module in known.items() if module is found), None)
        if first is None:
            raise unknown_layer(name, list(known), self.title)
        return first

    def survey(self, x: Arguments) -> Facts:
        """By one image."""
        return survey(self._watch, x.first())

    def run(
        self, x: Arguments, keys: Collection[str] = (), pulls: Collection[Any] = (), given: Mapping[str, Any] = {}
    ) -> Pass:
        """One pass; `jax.vmap` pulls all targets back at once."""
        outputs, pull, values = differentiable(partial(self._watch, given=given), x, pulls)
        back = jax.vmap(pull, in_axes=1, out_axes=1)
        return Pass(outputs, values, lambda direction: or_(*back(jnp.asarray(direction, outputs.dtype))))


def _inside(module: Any, part: str) -> Any:
    """A module's attribute, or what a list of modules holds at an index."""
    try:
        return module[int(part)]
    except (TypeError, ValueError, IndexError):
        return getattr(module, part, None)

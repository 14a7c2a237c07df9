"""The backend: activations, gradients, attention, and passes that start at a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import xaicore
from xaicore import facts, layers
from xaicore_flax.survey import survey
from xaicore_flax.watch import Inputs, Watch

__all__ = ["FlaxBackend"]

Record = tuple[dict[str, jax.Array], dict[str, tuple[jax.Array, ...]]]
Pull = Callable[[jax.Array], tuple[dict[str, jax.Array], Inputs]]


class FlaxBackend(xaicore.Backend):
    """Explains one `nnx.Module`.

    The gradient of a layer is that of zeros which are added to its output: one function serves layers, attention and
    inputs, and `jax.vmap` pulls all targets back at once.
    """

    channels_last = True
    powers = frozenset({"attention", "input_gradients", "resume"})

    def __init__(self, model: nnx.Module, output: int | str | None = None) -> None:
        self.model, self.output = model, output
        self._known: facts.ByShape[xaicore.Facts] = facts.ByShape()

    def layers(self, inputs: Any) -> Sequence[xaicore.Layer]:
        """Read from the facts."""
        return layers.listing(self.observe(inputs), self.channels_last)

    def observe(self, inputs: Any) -> xaicore.Facts:
        """The facts, kept for inputs of the same shapes."""
        x = _arrays(inputs)
        key = tuple((name, array.shape[1:]) for name, array in x.items())
        if key not in self._known:
            self._known[key] = survey(self.model, {name: array[:1] for name, array in x.items()}, self.output)
        return self._known[key]

    def capture(
        self,
        inputs: Any,
        layers: Sequence[str],
        direction: xaicore.Direction | None = None,
        *,
        attention: Mapping[str, bool] = {},
        rules: Sequence[str] = (),
    ) -> xaicore.Capture:
        """One forward pass, and one backward pass for all targets."""
        x, known = _arrays(inputs), self.observe(inputs)
        runs = {name: self._run_of(name, known) for name in layers}
        asked = [name for name, has_gradients in attention.items() if has_gradients]
        ends = {f"{name} {end}" for name in asked for end in ("weights", "output")}
        result, pull, (values, blocks) = self._pass(x, direction is not None, {*runs.values(), *ends}, bool(rules))
        rows, kind = _host(result), "probabilities" if known.link else "logits"
        of_layers: dict[str, np.ndarray] = {}
        of_inputs: list[np.ndarray | None] = []
        if direction is not None:
            d = xaicore.check_direction(direction(rows, kind), rows)
            at_layers, at_inputs = jax.vmap(pull, in_axes=1, out_axes=1)(jnp.asarray(d, result.dtype))
            of_layers = {key: _host(gradient) for key, gradient in at_layers.items()}
            of_inputs = [_host(at_inputs[name]) if name in at_inputs else None for name in x]
        return xaicore.Capture(
            *(rows, kind, {name: _host(values[run]) for name, run in runs.items()}),
            input_size=max((array.shape[1:-1] for array in x.values()), key=len),
            gradients={name: of_layers[run] for name, run in runs.items() if of_layers},
            link=known.link,
            attention={name: _attention(name, blocks[name], of_layers) for name in attention},
            input_gradients=dict.fromkeys(rules, of_inputs),
        )

    def attention(self, inputs: Any) -> list[xaicore.AttentionFacts]:
        """Every `nnx.MultiHeadAttention` that computes its weights by `nnx.dot_product_attention`."""
        watch = Watch(self.model)
        watch.run({name: array[:1] for name, array in _arrays(inputs).items()}, self.output)
        weights = {name: _host(block[3]) for name, block in watch.attention.items()}
        return [
            xaicore.AttentionFacts(name, one.shape, causal=one.shape[-1] > 1 and not np.triu(one, 1).any())
            for name, one in weights.items()
        ]

    def resume(self, inputs: Any, layer: str, activations: np.ndarray) -> np.ndarray:
        """A pass in which the layer gives these activations; what lies before it is computed, and not used."""
        x, run = _arrays(inputs), self._run_of(layer, self.observe(inputs))
        copies = len(activations) // len(next(iter(x.values())))
        watch = Watch(self.model, lambda key, value: jnp.asarray(activations, value.dtype) if key == run else value)
        return _host(watch.run({name: jnp.repeat(array, copies, axis=0) for name, array in x.items()}, self.output))

    def _run_of(self, name: str, known: xaicore.Facts) -> str:
        """The run that a name means: of "conv" the last one."""
        layer, run = layers.split_run(name)
        if layer not in known.named:
            raise xaicore.unknown_layer(name, list(known.named), type(self.model).__name__)
        if (run or 1) > known.named[layer].runs:
            raise layers.no_run(layer, run, known.named[layer].runs)
        return f"{layer}#{run or known.named[layer].runs}"

    def _pass(self, x: Inputs, is_pulled: bool, keys: set[str], with_inputs: bool) -> tuple[jax.Array, Pull, Record]:
        """The output, the way back to what has these keys and to the inputs, and what was seen."""

        def run(added: dict[str, jax.Array], floats: Inputs) -> tuple[jax.Array, Record]:
            watch = Watch(self.model, lambda key, value: value + added[key] if key in added else value)
            return watch.run({**x, **floats}, self.output), (watch.values, watch.attention)

        if not is_pulled:
            result, record = run({}, {})
            return result, lambda d: ({}, {}), record
        _, (values, attention) = jax.eval_shape(run, {}, {})
        known = values | {f"{name} weights": block[3] for name, block in attention.items()}
        known |= {f"{name} output": block[4] for name, block in attention.items()}
        zeros = {key: jnp.zeros(known[key].shape, known[key].dtype) for key in keys}
        floats = {name: one for name, one in x.items() if with_inputs and jnp.issubdtype(one.dtype, jnp.floating)}
        return jax.vjp(run, zeros, floats, has_aux=True)


def _arrays(inputs: Any) -> dict[int | str, jax.Array]:
    """The arguments: a tuple is positional, a dict has their names.

    Raises:
        InputError: an argument is no array, or there is no image.
    """
    each = inputs if isinstance(inputs, tuple) else (inputs,)
    given = inputs if isinstance(inputs, Mapping) else dict(enumerate(each))
    for name, one in given.items():
        if not hasattr(one, "shape") or not one.shape or not len(one):
            shown = getattr(one, "shape", type(one).__name__)
            raise xaicore.InputError(f"argument {name!r} is {shown}: expected an array (N, ...) with N of 1 or more")
    return {name: jnp.asarray(one) for name, one in given.items()}


def _host(array: Any) -> np.ndarray:
    return np.array(array, np.float32)


def _attention(name: str, block: tuple[Any, ...], of: Mapping[str, np.ndarray]) -> xaicore.Attention:
    """From Flax' order of axes, (N, length, heads, D), to (N, heads, length, D); weights are as they are to be."""
    query, key, value, weights, output = map(_host, block)
    gradient = of.get(f"{name} output")
    return xaicore.Attention(
        *(weights, query.swapaxes(1, 2), key.swapaxes(1, 2), value.swapaxes(1, 2), output.swapaxes(1, 2)),
        weights_gradients=of.get(f"{name} weights"),
        output_gradients=None if gradient is None else gradient.swapaxes(2, 3),
    )

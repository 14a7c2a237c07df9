"""The facts of a model: what one pass shows, one pull-back of random weights, and one push per input."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from xaicore import Facts, InputFacts, LayerFacts, layers, outputs
from xaicore_flax.watch import Inputs, Watch

__all__ = ["survey"]

KINDS = {
    "convolution": (nnx.Conv, nnx.ConvTranspose),
    "norm": (nnx.BatchNorm, nnx.LayerNorm, nnx.RMSNorm, nnx.GroupNorm),
    "dense": (nnx.Linear, nnx.LinearGeneral, nnx.Einsum),
    "attention": (nnx.MultiHeadAttention,),
    "embedding": (nnx.Embed,),
}
CHANNELS_LAST = KINDS["convolution"] + KINDS["norm"]


def survey(model: nnx.Module, x: Inputs, output: int | str | None) -> Facts:
    """The facts, from the first image `x`."""
    watch = Watch(model)
    rows = watch.run(x, output)
    modules = {".".join(map(str, path)): module for path, module in nnx.iter_modules(model)}
    runs = {name: [run for run in watch.values if _name(run) == name] for name in map(_name, watch.values)}
    names = {id(array): i for i, array in enumerate(x.values())}
    names |= {id(value): _name(run) for run, value in watch.values.items()}
    reads, reached = _reads(model, x, output), _reached(model, x, output, watch)
    found = []
    for name, each in sorted(runs.items(), key=lambda one: [*watch.values].index(one[1][-1])):
        value, cls = watch.values[each[-1]], type(modules[name])
        facts = LayerFacts(
            *(name, cls.__name__, value.shape),
            kind=next((kind for kind, known in KINDS.items() if issubclass(cls, known)), None),
            channel_axis=value.ndim - 1 if issubclass(cls, CHANNELS_LAST) else None,
            takes=tuple(names[id(array)] for array in watch.taken[each[-1]] if id(array) in names),
            is_leaf=not any(other.startswith(f"{name}.") for other in modules),
            is_float=jnp.issubdtype(value.dtype, jnp.floating),
            pooled=layers.is_pooling(cls),
            reads=tuple(sorted({i for run in each for i in reads[run]})),
            reached=reached.get(each[-1]),
            runs=len(each),
            run_reads=tuple(reads[run] for run in each),
        )
        found.append(facts)
    read = {id(one) for run, taken in watch.taken.items() if isinstance(modules[_name(run)], nnx.Conv) for one in taken}
    seen = [InputFacts(a.shape, *((a.shape, a.ndim - 1, (True,)) if id(a) in read else ())) for a in x.values()]
    is_softmax = outputs.are_probabilities(np.asarray(rows, np.float32))
    link = "softmax" if is_softmax else "sigmoid" if _ends_in_sigmoid(model, x, output) else None
    return Facts(tuple(found), tuple(seen), 1, link, None, output or 0, {output or 0: rows.shape})


def _name(run: str) -> str:
    return run.rpartition("#")[0]


def _reads(model: nnx.Module, x: Inputs, output: int | str | None) -> dict[str, tuple[int, ...]]:
    """For each run, the inputs that its output changes with, by one push of each."""

    def values(x: Inputs) -> dict[str, jax.Array]:
        watch = Watch(model)
        watch.run(x, output)
        return watch.values

    found: dict[str, tuple[int, ...]] = dict.fromkeys(jax.eval_shape(values, x), ())
    if len(x) == 1:
        return dict.fromkeys(found, (0,))
    for i, name in enumerate(x):
        pushed = jax.jvp(lambda array, name=name: values({**x, name: array}), (x[name],), (jnp.ones_like(x[name]),))[1]
        found |= {run: (*found[run], i) for run, push in pushed.items() if np.any(push)}
    return found


def _reached(model: nnx.Module, x: Inputs, output: int | str | None, watch: Watch) -> dict[str, dict[int, list[bool]]]:
    """For each run of floating-point numbers, at which indices of each axis the gradient of the output arrives."""

    def run(added: dict[str, jax.Array]) -> jax.Array:
        return Watch(model, lambda key, value: value + added[key] if key in added else value).run(x, output)

    zeros = {key: jnp.zeros_like(one) for key, one in watch.values.items() if jnp.issubdtype(one.dtype, jnp.floating)}
    result, pull = jax.vjp(run, zeros)
    weights = np.random.default_rng(0).normal(size=result.shape)
    found = {}
    for key, gradient in pull(jnp.asarray(weights, result.dtype))[0].items():
        some = np.asarray(gradient != 0)
        axes = range(1, some.ndim) if some.any() else ()
        found[key] = {axis: some.any(tuple({*range(some.ndim)} - {axis})).tolist() for axis in axes}
    return found


def _ends_in_sigmoid(model: nnx.Module, x: Inputs, output: int | str | None) -> bool:
    """Whether the last operation is a sigmoid; of a function around it, such as `nnx.sigmoid`, the last one inside."""
    jaxpr = jax.make_jaxpr(lambda x: Watch(model).run(x, output))(x).jaxpr
    while True:
        last = next((one for one in jaxpr.eqns if jaxpr.outvars[0] in one.outvars), None)
        inside = last and (last.params.get("jaxpr") or last.params.get("call_jaxpr"))
        if not inside:
            return last is not None and last.primitive.name == "logistic"
        jaxpr = inside.jaxpr

"""Keras on JAX: one line per net, in a process of its own, because both frameworks would take all of the device."""

from __future__ import annotations

import argparse
from statistics import median

import numpy as np

from benchmarks.measure import seconds

NETS = ("ResNet50", "MobileNetV2")


def main() -> None:
    """Print "net precision batch ratio" for each."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--batches", type=int, nargs="+", default=[32, 256])
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    import jax
    import keras

    print(f"# {jax.devices()[0].device_kind}", flush=True)
    for precision in ("float32", "mixed_bfloat16"):
        keras.config.set_dtype_policy(precision)
        for net in NETS:
            for batch in chosen.batches:
                print(net, precision, batch, f"{_ratio(net, batch, chosen.rounds):.3f}", flush=True)


def _ratio(net: str, batch: int, rounds: int) -> float:
    import jax
    import keras

    import xaicore

    model = getattr(keras.applications, net)(weights=None)
    x = keras.random.normal((batch, 224, 224, 3))
    explainer = xaicore.Explainer(model, progress=False)

    @jax.jit
    def compiled(trainable: list, other: list, x: jax.Array) -> jax.Array:
        return model.stateless_call(trainable, other, x, training=False)[0]

    def values(variables: list) -> list:
        return [variable.value for variable in variables]

    def forward() -> None:
        np.asarray(compiled(values(model.trainable_variables), values(model.non_trainable_variables), x))

    def explain() -> None:
        explainer(x)

    forward(), explain(), explain()
    rows = [(seconds(forward), seconds(explain), seconds(forward)) for _ in range(rounds)]
    return median(2 * ours / (before + after) for before, ours, after in rows)


if __name__ == "__main__":
    main()

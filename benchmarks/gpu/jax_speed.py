"""Keras on JAX: one line per net, in a process of its own, because both frameworks would take all of the device."""

from __future__ import annotations

import argparse
import sys
from statistics import median

import numpy as np
from rich.console import Console

from benchmarks.gpu import reducing
from benchmarks.gpu.verdict import show
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
    failed = _check()
    for precision in ("float32", "mixed_bfloat16"):
        keras.config.set_dtype_policy(precision)
        for net in NETS:
            for batch in chosen.batches:
                print(net, precision, batch, f"{_ratio(net, batch, chosen.rounds):.3f}", flush=True)
    sys.exit(1 if failed else 0)


def _check() -> int:
    """Maps that JAX computes beside NumPy's, and the bytes that travel; returns how many checks failed."""
    import jax
    import keras
    from keras import layers

    from xaicore_keras.backend import KerasBackend

    keras.utils.set_random_seed(0)
    small = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            *(layers.Conv2D(16, 3, padding="same", activation="relu"), layers.MaxPooling2D()),
            *(layers.Conv2D(24, 3, padding="same", activation="relu"), layers.GlobalAveragePooling2D()),
            layers.Dense(10),
        ]
    )
    console = Console(width=110)
    x = np.random.default_rng(1).random((4, 32, 32, 3), np.float32)
    with jax.default_matmul_precision("highest"):
        failed = show(console, reducing.compared("float32 on JAX", KerasBackend, small, x))
    model = keras.applications.ResNet50(weights=None)
    reducing.travelled(console, KerasBackend, model, keras.random.normal((2, 224, 224, 3)), "ResNet50 on JAX")
    return failed


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

"""Explains on the second of two devices: `python keras_devices.py FOLDER [workers]`.

TensorFlow is told to have two; JAX has them where XLA_FLAGS says so.

Prints what was seen, as JSON. With "workers", a data set is explained by one process and by one per device, too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers

BACKEND = keras.backend.backend()
SIDE = 6

if BACKEND == "tensorflow" and __name__ in ("__main__", "__mp_main__"):  # here, and in workers
    import tensorflow as tf

    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)


def build() -> keras.Model:
    keras.utils.set_random_seed(0)
    net = [layers.Conv2D(4, 3, activation="relu", name="conv"), layers.BatchNormalization(), layers.Dropout(0.5)]
    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), *net, layers.GlobalAveragePooling2D(), layers.Dense(3)])


def preprocess(picture: np.ndarray) -> np.ndarray:
    return (picture / 255).astype(np.float32)


def located(tensors: object) -> list[str]:
    """The devices of tensors."""
    from xaicore_keras.running import running_engine

    return sorted({str(running_engine().device_of(tensor)) for tensor in keras.tree.flatten(tensors)})


class Stateful(layers.Layer):
    """Has a class that nobody has registered."""

    def call(self, x: object) -> object:
        return x


def refusals(model: keras.Model) -> list[str]:
    import xaicore
    from xaicore_keras.backend import KerasBackend

    unbuilt = keras.Sequential([layers.Dense(2)])
    unknown = keras.Sequential([keras.Input((2,)), Stateful(), layers.Dense(1)])
    found = []
    for one in (unbuilt, unknown):
        try:
            KerasBackend(one).on_device("cpu:1")
        except xaicore.BackendError as exc:
            found.append(str(exc))
    assert KerasBackend(unbuilt).on_device("cpu:0") is unbuilt
    return found


def on_the_second() -> dict[str, object]:
    """Where the arrays of a pass lie, and whether maps are those of the first device."""
    import xaicore
    from xaicore_keras.backend import KerasBackend
    from xaicore_keras.engines import jax_steps, tensorflow_steps

    steps = {"jax": jax_steps, "tensorflow": tensorflow_steps}[BACKEND].Steps
    make, passes = steps.__init__, []

    def watched(self: object, *arguments: object) -> None:
        make(self, *arguments)
        forward = self.forward

        def located_forward(*tensors: object) -> object:
            found = forward(*tensors)
            passes.append(located(found))
            return found

        self.forward = located_forward

    steps.__init__ = watched
    model, x = build(), np.random.default_rng(0).random((3, SIDE, SIDE, 3), np.float32)
    before = [keras.ops.convert_to_numpy(variable) for variable in model.variables]
    moved = KerasBackend(model).on_device("cpu:1")
    first = xaicore.explain(model, x, 1, layer="conv", kind="logits", progress=False)
    second = xaicore.explain(moved, x, 1, layer="conv", kind="logits", progress=False)
    with keras.device("cpu:1"):
        there = keras.ops.convert_to_tensor(x)
        built = build()
    again = xaicore.explain(built, x, 1, layer="conv", kind="logits", progress=False)
    inputs = xaicore.explain(model, there, 1, layer="conv", kind="logits", progress=False)
    assert first.maps.any()
    return {
        "devices": KerasBackend(model).devices(),
        "weights": [located([variable.value for variable in net.weights]) for net in (model, moved)],
        "passes": list(passes),
        "same": [bool(np.array_equal(first.maps, other.maps)) for other in (second, again, inputs)],
        "unchanged": all(
            np.array_equal(value, keras.ops.convert_to_numpy(variable))
            for value, variable in zip(before, model.variables, strict=True)
        ),
        "itself": KerasBackend(moved).on_device("cpu:1") is moved and KerasBackend(model).on_device("cpu:0") is model,
        "refusals": refusals(model),
    }


def by_workers(folder: Path) -> bool:
    """Whether a worker on each device makes the rows of one process."""
    from picture_sets import write_pictures

    import xaicore
    from xaicore.dataset.schema import COLUMNS

    write_pictures(folder / "photos", 8)
    known = {"layer": "conv", "kind": "logits", "preprocess": preprocess, "shard_size": 2, "progress": False}
    tables = [
        xaicore.explain_dataset(build, folder / "photos", folder / str(devices), devices=devices, **known)
        for devices in (None, "cpu:0,cpu:1")
    ]
    rows = [table.to_arrow(tuple(COLUMNS)) for table in tables]
    return bool(rows[0].equals(rows[1]) and len(rows[0]) == 8 and not tables[0].errors())


def main(folder: str, *more: str) -> None:
    found = on_the_second()
    if more:
        found["rows"] = by_workers(Path(folder))
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])

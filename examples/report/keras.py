"""The report with Keras: `model.fit` and `xaicore_keras.HeatmapCallback`.

pip install ".[demo,tensorflow,wandb]"
python -m examples.report.keras
KERAS_BACKEND=jax python -m examples.report.keras --data PetImages
"""

from __future__ import annotations

import os
from collections.abc import Mapping

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # hides most of what TensorFlow prints while it loads

import click
import keras
from keras import layers

import xaicore
from examples import efficientnet_lite0_keras
from examples.report.command import SEED, Tracker, command
from examples.report.conclusions import Findings
from examples.report.pictures import Data, network_input
from xaicore_keras import HeatmapCallback, cam_model

BATCH = 16


@command("keras")
def main(data: Data, epochs: int, tracker: Tracker) -> Mapping[str, Findings]:
    """Train a classifier and log where it looks: Grad-CAM of a dense head, then CAM of a CAM-ready model."""
    keras.utils.set_random_seed(SEED)
    watching = tracker.watching(data, network_input)

    click.echo("1. A frozen network with a dense head, explained by Grad-CAM")
    model = classifier(data.outputs)
    train(model, data, range(epochs), 1e-3, tracker, HeatmapCallback(method="gradcam", **watching))

    click.echo("2. The same network made CAM-ready: pooling and one dense layer, explained by CAM")
    cam = cam_model(model, classes=data.outputs, activation=activation(data.outputs), freeze=True)
    train(cam, data, range(epochs, 2 * epochs), 1e-2, tracker, HeatmapCallback(method=["cam", "gradcam"], **watching))

    return {
        "Dense head, Grad-CAM": Findings.measure(xaicore.Explainer(model, method="gradcam"), data, network_input),
        "CAM-ready, CAM": Findings.measure(xaicore.Explainer(cam, method="cam"), data, network_input),
    }


def classifier(outputs: int) -> keras.Model:
    """A network with frozen ImageNet weights and a trainable dense head; it returns probabilities."""
    network = efficientnet_lite0_keras.model(folded=True)
    network.trainable = False
    x = network.get_layer("head_pool").output
    x = layers.Dense(64, activation="relu", name="hidden")(x)
    x = layers.Dense(outputs, activation=activation(outputs), name="classes")(x)
    return keras.Model(network.input, x, name="classifier")


def train(
    model: keras.Model, data: Data, epochs: range, rate: float, tracker: Tracker, heatmaps: HeatmapCallback
) -> None:
    """Compile and fit, with the heatmaps as one of the callbacks."""
    loss = "binary_crossentropy" if data.outputs == 1 else "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    model.fit(
        network_input(data.train.images),
        data.train.truth,
        validation_data=(network_input(data.validation.images), data.validation.truth),
        batch_size=BATCH,
        initial_epoch=epochs.start,
        epochs=epochs.stop,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=tracker.metrics), heatmaps],
        verbose=2,
    )


def activation(outputs: int) -> str:
    """The activation of the last layer: a sigmoid for one output, a softmax for several."""
    return "sigmoid" if outputs == 1 else "softmax"


if __name__ == "__main__":
    main()

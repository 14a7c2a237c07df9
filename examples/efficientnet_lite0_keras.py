"""EfficientNet-Lite0 with ImageNet weights in Keras 3, on TensorFlow, JAX or torch, for `--model`.

    KERAS_BACKEND=jax xaicore explain photos --model examples.efficientnet_lite0_keras:model

It computes the same function as examples.efficientnet_lite0, so that the explanations of two frameworks can be
compared. The weights were trained with TensorFlow's SAME padding, which Keras uses, too. To save it as a file:

    python -m examples.efficientnet_lite0_keras --out efficientnet_lite0.keras
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import click
import cv2
import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # hides most of what TensorFlow prints while it loads
import keras
from keras import layers

from examples.efficientnet_lite0 import SIZE, channels_last
from examples.lite0_weights import EPSILON, port, read_weights

# Blocks, kernel size, stride of the first block, expansion, channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
TOLERANCE = 1e-3
"""Largest difference of a logit from PyTorch's. Logits reach 15; the order of summation changes them by 1e-5."""


def model(folded: bool = False) -> keras.Model:
    """The network: (N, 224, 224, 3) float32 in, 1000 logits out, without a softmax.

    Args:
        folded: fold the BatchNormalization layers into the convolutions' kernels and biases.

    Raises:
        ValueError: the weights file is that of another network.
    """
    network = architecture(folded)
    port(network, read_weights())
    return network


def preprocess(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From a picture (H, W, 3) uint8 RGB to the input (224, 224, 3) float32 and its picture (224, 224, 3) uint8 RGB."""
    return channels_last(picture)


def architecture(folded: bool) -> keras.Model:
    """The network with all weights zero. It has no Dropout, which only training would use."""
    x = inputs = keras.Input((SIZE, SIZE, 3), name="picture")
    x = convolution(x, "stem", folded, 32, 3, stride=2)
    index = 0
    for blocks, size, stride, expansion, channels in STAGES:
        for i in range(blocks):
            x = block(x, f"block{index}", folded, size, 1 if i else stride, expansion, channels)
            index += 1
    x = convolution(x, "head", folded, 1280, 1)
    x = layers.GlobalAveragePooling2D(data_format="channels_last", name="head_pool")(x)
    x = layers.Dense(1000, kernel_initializer="zeros", name="logits")(x)
    return keras.Model(inputs, x, name="efficientnet_lite0_folded" if folded else "efficientnet_lite0")


def block(
    x: keras.KerasTensor, name: str, folded: bool, size: int, stride: int, expansion: int, channels: int
) -> keras.KerasTensor:
    """An inverted residual block: expand, convolve depthwise, project; plus x if the shape is the same."""
    shortcut = x
    if expansion > 1:
        x = convolution(x, f"{name}_expand", folded, expansion * x.shape[-1], 1)
    x = convolution(x, f"{name}_depthwise", folded, None, size, stride)
    x = convolution(x, f"{name}_project", folded, channels, 1, relu=False)
    return layers.Add(name=f"{name}_add")([x, shortcut]) if x.shape == shortcut.shape else x


def convolution(
    x: keras.KerasTensor, name: str, folded: bool, channels: int | None, size: int, stride: int = 1, relu: bool = True
) -> keras.KerasTensor:
    """Convolution (depthwise if `channels` is None), normalisation unless folded, ReLU6."""
    # channels_last is explicit because a user's keras.json may set channels_first.
    common = {"strides": stride, "padding": "same", "data_format": "channels_last", "use_bias": folded}
    if channels is None:
        conv = layers.DepthwiseConv2D(size, **common, depthwise_initializer="zeros", name=f"{name}_conv")
    else:
        conv = layers.Conv2D(channels, size, **common, kernel_initializer="zeros", name=f"{name}_conv")
    x = conv(x)
    if not folded:
        x = layers.BatchNormalization(axis=-1, epsilon=EPSILON, name=f"{name}_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if relu else x


def compare(network: keras.Model) -> tuple[float, int, int]:
    """(largest difference of a logit from PyTorch's, correct predictions, pictures) on the demo's labelled pictures."""
    import torch

    from examples import efficientnet_lite0
    from examples.demo import labelled

    photos = labelled()
    x = np.stack([preprocess(cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB))[0] for photo in photos])
    with torch.no_grad():
        expected = efficientnet_lite0.model()(torch.from_numpy(x.transpose(0, 3, 1, 2))).numpy()
    logits = network.predict(x, verbose=0)
    return (
        float(np.abs(logits - expected).max()),
        int((logits.argmax(axis=1) == list(photos.values())).sum()),
        len(photos),
    )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The file to write, ending in .keras; an existing file is replaced.  [default: runs/efficientnet_lite0.keras, "
    "with --folded runs/efficientnet_lite0_folded.keras]",
)
@click.option("--folded", is_flag=True, help="Fold the BatchNormalization layers into the convolutions.")
def main(out: Path | None, folded: bool) -> None:
    """Save EfficientNet-Lite0 as a .keras file, and print how far its logits are from PyTorch's.

    The file is written under a temporary name, read back and compared on twenty photographs. If its logits differ, it
    is removed and the exit status is 1. KERAS_BACKEND chooses the framework.
    """
    out = out or Path("runs", f"efficientnet_lite0{'_folded' if folded else ''}.keras")
    if out.suffix != ".keras":
        raise click.BadParameter(f"{out}: expected a name ending in .keras", param_hint="--out")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".unfinished-") as folder:
            unfinished = Path(folder, out.name)
            model(folded).save(unfinished)
            difference, right, count = compare(keras.saving.load_model(unfinished))
            framework = keras.backend.backend()
            result = f"logits within {difference:.1e} of PyTorch's on {framework}, {right} of {count} right"
            if not difference < TOLERANCE:
                sys.exit(f"not saved: {result}; expected {TOLERANCE:.0e}")
            os.replace(unfinished, out)
    except OSError as exc:
        sys.exit(f"cannot write {out}: {exc.strerror or exc}")
    click.echo(f"{out}: {result}")


if __name__ == "__main__":
    main()

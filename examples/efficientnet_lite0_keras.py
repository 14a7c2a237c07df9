"""EfficientNet-Lite0 with ImageNet weights in Keras 3, on TensorFlow, JAX or torch, as `--model` takes it.

    KERAS_BACKEND=jax xaicore explain photos --model examples.efficientnet_lite0_keras:model

It is the network of examples.efficientnet_lite0, so that two frameworks explain the same thing: the weights were
trained with TensorFlow's SAME padding, which is Keras' own. To have it as a file:

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

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # of what TensorFlow says as it loads, this spares the most
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
CLOSE = 1e-3
"""How near logits must be to PyTorch's. They reach 15; other orders of summation move them by 1e-5."""


def model(folded: bool = False) -> keras.Model:
    """The network: (N, 224, 224, 3) float32 in, 1000 logits out, without a softmax.

    Args:
        folded: without BatchNormalization layers, these being folded into the convolutions' kernels and biases.

    Raises:
        ValueError: the weights file is not this network's.
    """
    network = architecture(folded)
    port(network, read_weights())
    return network


def preprocess(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 RGB to (x (224, 224, 3) float32, what the network sees (224, 224, 3) uint8 RGB)."""
    return channels_last(picture)


def architecture(folded: bool) -> keras.Model:
    """The network without weights: all zero. Dropout, which only training uses, is left out."""
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
    """An inverted residual: expand, convolve every channel, project; added to x where the shape stays."""
    start = x
    if expansion > 1:
        x = convolution(x, f"{name}_expand", folded, expansion * x.shape[-1], 1)
    x = convolution(x, f"{name}_depthwise", folded, None, size, stride)
    x = convolution(x, f"{name}_project", folded, channels, 1, relu=False)
    return layers.Add(name=f"{name}_add")([x, start]) if x.shape == start.shape else x


def convolution(
    x: keras.KerasTensor, name: str, folded: bool, channels: int | None, size: int, stride: int = 1, relu: bool = True
) -> keras.KerasTensor:
    """Convolution (depthwise where no channels are named), normalisation, ReLU6."""
    # channels_last is said because a user's keras.json may say channels_first.
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
    """On the demo's labelled pictures: (largest difference of a logit from PyTorch's, pictures right, pictures)."""
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
    help="Where to, a name ending in .keras; what is there is replaced.  [default: runs/efficientnet_lite0.keras, "
    "with --folded runs/efficientnet_lite0_folded.keras]",
)
@click.option("--folded", is_flag=True, help="Fold the BatchNormalizations into the convolutions.")
def main(out: Path | None, folded: bool) -> None:
    """Save EfficientNet-Lite0 as a .keras file, and say how far its logits are from PyTorch's.

    The saved file is read back and compared on twenty photographs. It appears under its name only when it is whole
    and agrees: exit status 1, and nothing written, where it does not. KERAS_BACKEND chooses who computes.
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
            said = f"logits within {difference:.1e} of PyTorch's on {keras.backend.backend()}, {right} of {count} right"
            if not difference < CLOSE:
                sys.exit(f"not saved: {said}; expected {CLOSE:.0e}")
            os.replace(unfinished, out)
    except OSError as exc:
        sys.exit(f"cannot write {out}: {exc.strerror or exc}")
    click.echo(f"{out}: {said}")


if __name__ == "__main__":
    main()

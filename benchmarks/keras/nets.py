"""The nets that are timed, of `keras.applications`, and the layer that xaicore finds in each.

Random weights: time and memory do not depend on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

NETS = {"VGG16": "block5_conv3", "ResNet50": "conv5_block3_out", "MobileNetV2": "out_relu"}
"""{name: its last layer that still is a map of the picture}"""


def build(name: str) -> keras.Model:
    """A net of NETS, 224 x 224."""
    import keras  # which needs KERAS_BACKEND, and only the process that measures has one

    keras.utils.set_random_seed(0)
    return getattr(keras.applications, name)(weights=None)


def pictures(batch: int, size: int = 224) -> Any:
    """(N, size, size, 3), a tensor of the running backend: so nothing that is timed pays for making it one."""
    import keras

    return keras.random.normal((batch, size, size, 3))

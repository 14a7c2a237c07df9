"""The benchmarked nets of `keras.applications`, and the layer that xaicore finds in each.

Their weights are random: time and memory do not depend on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

NETS = {"VGG16": "block5_conv3", "ResNet50": "conv5_block3_out", "MobileNetV2": "out_relu"}
"""{name: its last layer with spatial axes}"""


def build(name: str) -> keras.Model:
    """The net of this name in NETS, for 224 x 224 pictures."""
    import keras  # deferred: it needs KERAS_BACKEND, which only the measuring process has

    keras.utils.set_random_seed(0)
    return getattr(keras.applications, name)(weights=None)


def pictures(batch: int, size: int = 224) -> Any:
    """Pictures (N, size, size, 3) as a tensor of the framework, so that no timing includes the conversion."""
    import keras

    return keras.random.normal((batch, size, size, 3))

"""Boxes of keras-hub's RetinaNet: what to read them with, and a check against TensorFlow's own gradients.

`python -m examples.targets.keras_retinanet` builds a small one without weights; it needs keras-hub and TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import xaicore
from xaicore.outputs import Answer
from xaicore.targets import Boxes, Detector

__all__ = ["check", "reads", "small"]

SIZE = (128, 160)
LAYER = "retina_net_backbone/backbone/stack3_block0_out"
"""The last layer of the image encoder, which all levels of the pyramid read."""


def reads(model: Any, nms: float = 0.5) -> Callable[[Answer], Any]:
    """`read=` of `Box` and `Boxes` for a RetinaNet of keras-hub, which returns logits and offsets from its anchors."""
    import keras

    def read(answer: Answer) -> Any:
        height, width = answer.size
        anchors = model.anchor_generator(np.zeros((1, height, width, 3), np.float32))
        boxes = keras.utils.bounding_boxes.decode_deltas_to_boxes(
            anchors=keras.ops.concatenate(list(anchors.values())),
            boxes_delta=np.stack(answer.parts["bbox_regression"]),
            encoded_format="center_xywh",
            anchor_format=model.anchor_generator.bounding_box_format,
            box_format="xyxy",
            image_shape=(height, width, 3),
        )
        parts = {**answer.parts, "boxes": list(keras.ops.convert_to_numpy(boxes))}
        return Detector("boxes", "cls_logits", activation="sigmoid", nms=nms)(replace(answer, parts=parts))

    return read


def small() -> Any:
    """A RetinaNet with a ResNet of four blocks and three levels, of random weights."""
    import keras
    from keras_hub import models

    keras.utils.set_random_seed(0)
    encoder = models.ResNetBackbone(
        image_shape=(None, None, 3),
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64] * 4,
        stackwise_num_blocks=[1] * 4,
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
    )
    backbone = models.RetinaNetBackbone(encoder, min_level=3, max_level=5, use_p5=False, image_shape=(*SIZE, 3))
    model = models.RetinaNetObjectDetector(backbone, num_classes=5, bounding_box_format="xyxy")
    for weight in (*model.classification_head.weights, *model.box_head.weights):
        weight.assign(weight * 0.4)  # else all scores are 0 or 1
    return model


def check(model: Any, x: np.ndarray, k: int = 3) -> tuple[Any, float]:
    """The k best boxes of each image, and how far their maps are from TensorFlow's own gradients, relatively."""
    import tensorflow as tf

    found = xaicore.explain(model, x, Boxes(k, read=reads(model)), layer=LAYER, method="hirescam")
    encoder, pyramid = (model.backbone.get_layer(name) for name in ("backbone", "fpn"))
    levels = encoder(x, training=False)
    last = list(levels)[-1]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(levels[last])
        features = pyramid(levels, training=False)
        of_levels = [
            tf.reshape(model.classification_head(one), (len(x), -1, model.num_classes)) for one in features.values()
        ]
        logits = tf.concat(of_levels, axis=1)
        of_labels = [logits[m // k, :, int(label)] for m, label in enumerate(found.targets)]
        # The box is known by its score.
        at = [
            int(tf.argmin(tf.abs(tf.sigmoid(one) - score))) for one, score in zip(of_labels, found.scores, strict=True)
        ]
        scores = [one[place] for one, place in zip(of_labels, at, strict=True)]
    worst = 0.0
    for m, score in enumerate(scores):
        product = tape.gradient(score, levels[last]) * levels[last]
        expected = np.maximum(product.numpy()[m // k].sum(axis=-1), 0)
        worst = max(worst, float(np.abs(found.maps[m] - expected).max() / expected.max()))
    return found, worst


def main() -> None:
    """Print boxes of a small RetinaNet, and the difference."""
    x = np.random.default_rng(0).uniform(size=(2, *SIZE, 3)).astype(np.float32)
    found, worst = check(small(), x)
    for m in range(len(found.maps)):
        box = ", ".join(f"{edge:.0f}" for edge in found.target_box(m))
        print(f"image {m // 3}: class {found.targets[m]}, score {found.scores[m]:.4f}, box {box}")
    print(f"maps differ from TensorFlow's own gradients by {worst:.1e}")


if __name__ == "__main__":
    main()

"""keras-hub on TensorFlow: detectors. Their maps are compared with the gradients of TensorFlow's own tape."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import keras_hub
import numpy as np
import tensorflow as tf

import xaicore
from examples.targets.keras_retinanet import LAYER, SIZE, reads, small
from xaicore.targets import Boxes
from xaicore_keras.paths import walk

__all__ = ["CASES", "PACKAGES", "tried"]

PACKAGES = ("tensorflow", "keras", "keras-hub")

K = 3


@dataclass(frozen=True)
class Case:
    """A detector whose output "logits", or another one, holds the scores of its boxes.

    Attributes:
        name: the architecture.
        build: makes the model, the size of its pictures, and the target.
        scores: the name of the output.
        layer: to explain; None to find one.
    """

    name: str
    build: Callable[[], tuple[keras.Model, tuple[int, int], xaicore.Target]]
    scores: str
    layer: str | None = None


def _retinanet() -> tuple[keras.Model, tuple[int, int], xaicore.Target]:
    model = small()
    return model, SIZE, Boxes(K, read=reads(model))


def _dfine() -> tuple[keras.Model, tuple[int, int], xaicore.Target]:
    size = (96, 96)
    levels: dict[str, Any] = {"out_features": ["stage3", "stage4"], "image_shape": (*size, 3)}
    encoder = keras_hub.models.HGNetV2Backbone(
        stem_channels=[3, 8, 8],
        stackwise_stage_filters=[
            [8, 8, 16, 1, 1, 3],
            [16, 16, 32, 1, 1, 3],
            [32, 16, 64, 1, 1, 5],
            [64, 16, 64, 1, 1, 5],
        ],
        apply_downsample=[False, True, True, True],
        use_lightweight_conv_block=[False, False, True, True],
        depths=[1] * 4,
        hidden_sizes=[16, 32, 64, 64],
        embedding_size=8,
        use_learnable_affine_block=True,
        hidden_act="relu",
        **levels,
    )
    backbone = keras_hub.models.DFineBackbone(
        backbone=encoder,
        decoder_in_channels=[32, 32],
        encoder_hidden_dim=32,
        num_denoising=0,
        num_labels=5,
        hidden_dim=32,
        learn_initial_query=False,
        num_queries=20,
        anchor_image_size=size,
        feat_strides=[16, 32],
        num_feature_levels=2,
        encoder_in_channels=[64, 64],
        encode_proj_layers=[1],
        num_attention_heads=4,
        encoder_ffn_dim=32,
        num_encoder_layers=1,
        hidden_expansion=0.34,
        depth_multiplier=0.5,
        eval_idx=-1,
        num_decoder_layers=2,
        decoder_attention_heads=4,
        decoder_ffn_dim=32,
        decoder_n_points=[3, 3],
        lqe_hidden_dim=16,
        num_lqe_layers=2,
        **levels,
    )
    model = keras_hub.models.DFineObjectDetector(backbone=backbone, num_classes=5, bounding_box_format="xyxy")
    read = xaicore.targets.Detector("pred_boxes", "logits", format="cxcywh", relative=True, activation="sigmoid")
    return model, size, Boxes(K, read=read)


def tried(case: Case) -> dict[str, Any]:
    """A row of the table."""
    row: dict[str, Any] = {"name": case.name, "target": f"`Boxes({K})`, on Keras"}
    keras.utils.set_random_seed(0)
    try:
        model, size, target = case.build()
    except Exception as exc:
        return {**row, "not_built": f"{type(exc).__name__}: {exc}"}
    x = np.random.default_rng(0).uniform(size=(2, *size, 3)).astype(np.float32)
    try:
        found = xaicore.explain(model, x, target, output=case.scores, layer=case.layer)
        return {**row, "named": case.layer is not None, **_compared(model, x, case.scores, found)}
    except xaicore.XaicoreError as exc:
        return {**row, "refused": f"{type(exc).__name__}: {exc}"}
    except Exception as exc:
        return {**row, "failed": f"{type(exc).__name__}: {exc}"}


def _compared(model: keras.Model, x: np.ndarray, output: str, found: xaicore.Explanation) -> dict[str, Any]:
    with tf.GradientTape(persistent=True) as tape, _watched(model, found.layer, tape) as kept:
        logits = model(x, training=False)[output]
        p = tf.sigmoid(logits).numpy()
        at = [np.unravel_index(np.abs(p[m // K] - score).argmin(), p.shape[1:]) for m, score in enumerate(found.scores)]
        scores = [logits[(m // K, *place)] for m, place in enumerate(at)]  # a box is known by its score
    (features,) = (one for one in kept if one.shape[1:3] == found.maps.shape[1:])
    expected = []
    for m, score in enumerate(scores):
        gradient = tape.gradient(score, features).numpy()[m // K]
        expected.append(np.maximum(features.numpy()[m // K] @ gradient.mean(axis=(0, 1)), 0))
    largest = float(np.max(expected))
    return {
        "layer": found.layer,
        "grid": " x ".join(map(str, found.maps.shape[1:])),
        "rows": len(found.maps),
        "empty": int(found.empty.sum()),
        "difference": float(np.abs(found.maps - np.stack(expected)).max()) / (largest or 1),
    }


@contextmanager
def _watched(model: keras.Model, path: str, tape: tf.GradientTape) -> Iterator[list[Any]]:
    """The outputs of a layer in a pass, which the tape watches."""
    layer = walk(model)[path]
    kept: list[Any] = []
    call = layer.call

    def watched(*args: Any, **kwargs: Any) -> Any:
        answer = call(*args, **kwargs)
        kept.append(list(answer.values())[-1] if isinstance(answer, dict) else answer)
        tape.watch(kept[-1])
        return answer

    layer.call = watched
    try:
        yield kept
    finally:
        layer.call = call


CASES = [
    Case("RetinaNet (ResNet)", _retinanet, "cls_logits", LAYER),
    Case("RetinaNet (ResNet)", _retinanet, "cls_logits"),
    Case("DFine (HGNetV2)", _dfine, "logits"),
]

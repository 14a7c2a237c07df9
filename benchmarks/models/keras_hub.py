"""Architectures of keras-hub: backbones of random weights, with their task's head."""

from __future__ import annotations

import keras_hub

from benchmarks.models.zoo import Architecture

__all__ = ["ARCHITECTURES", "PACKAGES"]

PACKAGES = ("keras", "tensorflow", "keras-hub")
SQUARE, WIDE = (1, 64, 64, 3), (1, 64, 96, 3)
BLOCKS = {"num_layers": 2, "num_heads": 3, "hidden_dim": 48, "mlp_dim": 96}
STAGES = {"stackwise_num_filters": [64, 64, 96, 128], "stackwise_num_blocks": [1, 1, 1, 1]}


def _of(name: str, shape: tuple[int, ...], **config) -> Architecture:
    def build():
        models = keras_hub.models
        backbone = getattr(models, f"{name}Backbone")(image_shape=shape[1:], **config)
        return getattr(models, f"{name}ImageClassifier")(backbone=backbone, num_classes=5)

    return Architecture(f"{name}ImageClassifier", build, shape)


ARCHITECTURES = [
    _of("ViT", SQUARE, patch_size=16, **BLOCKS),
    _of("DeiT", SQUARE, patch_size=16, intermediate_dim=96, num_layers=2, num_heads=3, hidden_dim=48),
    _of(
        "ResNet",
        WIDE,
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        **STAGES,
    ),
    _of("DenseNet", WIDE, stackwise_num_repeats=[2, 2, 2, 2], compression_ratio=0.5, growth_rate=8),
    _of("VGG", WIDE, stackwise_num_repeats=[1, 1, 1], stackwise_num_filters=[16, 32, 48]),
    _of("SwinTransformer", SQUARE, embed_dim=24, depths=[1, 1], num_heads=[1, 2], window_size=4),
    _of(
        "MiT",
        WIDE,
        layerwise_depths=[1, 1],
        num_layers=2,
        layerwise_num_heads=[1, 2],
        layerwise_sr_ratios=[1, 1],
        max_drop_path_rate=0.1,
        layerwise_patch_sizes=[7, 3],
        layerwise_strides=[4, 2],
        hidden_dims=[16, 32],
    ),
]

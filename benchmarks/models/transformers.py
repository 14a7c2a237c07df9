"""Architectures of Transformers: pictures, spectrograms and clips, and some that are refused."""

from __future__ import annotations

import torch
import transformers as library

from benchmarks.models.zoo import Architecture

__all__ = ["ARCHITECTURES", "PACKAGES"]

PACKAGES = ("torch", "transformers")
WIDE, SQUARE, CLIP = (1, 3, 64, 96), (1, 3, 64, 64), (1, 4, 3, 32, 32)
BLOCKS = {"num_hidden_layers": 2, "hidden_size": 48, "num_attention_heads": 3, "intermediate_size": 96}
PATCHES = {"image_size": 64, "patch_size": 16, **BLOCKS}
STAGES = {"depths": [1, 1, 1, 1], "hidden_sizes": [16, 32, 48, 64]}
FRAMES = {"num_frames": 4, "image_size": 32, **BLOCKS}
TEXT = {"vocab_size": 50, "max_position_embeddings": 16, "projection_dim": 32, **BLOCKS}


def _of(
    name: str,
    shape: tuple[int, ...] = SQUARE,
    output: str | None = None,
    *,
    head: str = "ForImageClassification",
    argument: str | None = None,
    **config,
) -> Architecture:
    """`NameHead(NameConfig(...))`; `argument` is the name of the picture's argument where it is not the first."""

    def build():
        made = getattr(library, f"{name}Config")(**{"num_labels": 5, **config})
        return getattr(library, f"{name}{head}")(made)

    return Architecture(f"{name}{head}", build, shape, output, None if argument is None else (lambda x: {argument: x}))


def _clip() -> library.CLIPModel:
    patches = {**PATCHES, "projection_dim": 32}
    return library.CLIPModel(library.CLIPConfig(text_config=TEXT, vision_config=patches, projection_dim=32))


def _with_text(x: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"input_ids": torch.arange(21).reshape(3, 7), "pixel_values": x}


ARCHITECTURES = [
    _of("ViT", **PATCHES),
    _of("DeiT", **PATCHES),
    _of("Beit", **PATCHES),
    _of("Data2VecVision", **PATCHES),
    _of("ViTMSN", **PATCHES),
    _of("Dinov2", (1, 3, 56, 84), **{**PATCHES, "image_size": 56, "patch_size": 14}),
    _of("Dinov2WithRegisters", (1, 3, 56, 84), **{**PATCHES, "image_size": 56, "patch_size": 14}),
    _of("IJepa", **PATCHES),
    _of("CLIPVision", SQUARE, "image_embeds", head="ModelWithProjection", projection_dim=32, **PATCHES),
    _of("CLIP", SQUARE, head="ForImageClassification", vision_config=PATCHES),
    _of("SiglipVision", SQUARE, "pooler_output", head="Model", **PATCHES),
    _of("Siglip", SQUARE, head="ForImageClassification", vision_config=PATCHES),
    Architecture("CLIPModel", _clip, SQUARE, "logits_per_image", _with_text),
    _of("DINOv3ViT", WIDE, "pooler_output", head="Model", **{**PATCHES, "num_register_tokens": 4}),
    _of("ViTMAE", SQUARE, "last_hidden_state", head="Model", mask_ratio=0.0, **PATCHES),
    _of("Swin", WIDE, image_size=64, patch_size=4, embed_dim=12, depths=[1, 1], num_heads=[1, 2], window_size=4),
    _of("Swinv2", WIDE, image_size=64, patch_size=4, embed_dim=12, depths=[1, 1], num_heads=[1, 2], window_size=4),
    _of("Hiera", SQUARE, image_size=[64, 64], embed_dim=24, depths=[1, 1, 1, 1]),
    _of("Segformer", WIDE, depths=[1, 1, 1, 1]),
    _of("Pvt", SQUARE, image_size=64, depths=[1, 1, 1, 1]),
    _of("PvtV2", WIDE, image_size=[64, 96], depths=[1, 1, 1, 1]),
    _of("Cvt", WIDE),
    _of("Levit", (1, 3, 224, 224)),
    _of("MobileViT", SQUARE),
    _of("MobileViTV2", SQUARE),
    _of("SwiftFormer", SQUARE),
    _of("PoolFormer", WIDE, depths=[1, 1, 1, 1], hidden_sizes=[16, 32, 48, 64]),
    _of("FocalNet", WIDE, image_size=64, embed_dim=24, depths=[1, 1, 1, 1]),
    _of("ConvNext", WIDE, **STAGES),
    _of("ConvNextV2", WIDE, **STAGES),
    _of("ResNet", WIDE, embedding_size=16, layer_type="basic", **STAGES),
    _of("RegNet", WIDE, embedding_size=16, groups_width=16, **STAGES),
    _of("Bit", WIDE, embedding_size=64, depths=[1, 1, 1, 1], hidden_sizes=[128, 256, 384, 512]),
    _of("EfficientNet", WIDE, width_coefficient=0.5, depth_coefficient=0.5, hidden_dim=640),
    _of("MobileNetV1", WIDE, depth_multiplier=0.5),
    _of("MobileNetV2", WIDE, depth_multiplier=0.5),
    _of("TextNet", WIDE),
    _of("HGNetV2", WIDE),
    _of(
        "AST",
        (1, 64, 32),
        head="ForAudioClassification",
        argument="input_values",
        **{"patch_size": 8, "frequency_stride": 8, "time_stride": 8, "max_length": 64, "num_mel_bins": 32, **BLOCKS},
    ),
    _of("VideoMAE", CLIP, head="ForVideoClassification", patch_size=8, tubelet_size=2, **FRAMES),
    _of("Vivit", CLIP, head="ForVideoClassification", tubelet_size=[2, 8, 8], **FRAMES),
    _of("Timesformer", CLIP, head="ForVideoClassification", patch_size=8, **FRAMES),
    _of(
        "VJEPA2",
        CLIP,
        head="ForVideoClassification",
        argument="pixel_values_videos",
        crop_size=32,
        frames_per_clip=4,
        patch_size=8,
        hidden_size=48,
        num_attention_heads=3,
        num_hidden_layers=2,
        num_pooler_layers=1,
    ),
    _of("Yolos", head="ForObjectDetection", **{**PATCHES, "image_size": [64, 64], "num_detection_tokens": 20}),
]

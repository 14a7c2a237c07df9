"""Architectures of timm."""

from __future__ import annotations

import timm
import torch

from benchmarks.models.zoo import Architecture

__all__ = ["ARCHITECTURES", "PACKAGES"]

PACKAGES = ("torch", "timm")
WIDE, SQUARE = (64, 96), (64, 64)
SWIN = {"img_size": WIDE, "embed_dim": 24, "depths": (1, 1), "num_heads": (1, 2)}
TINY = {"img_size": WIDE, "depth": 2}
NARROW = {"embed_dim": 48, "num_heads": 3}


def _of(name: str, size: tuple[int, int] = WIDE, note: str = "", **kwargs) -> Architecture:
    return Architecture(
        f"{name}{note and f' ({note})'}", lambda: timm.create_model(name, num_classes=5, **kwargs), (1, 3, *size)
    )


ARCHITECTURES = [
    _of("vit_tiny_patch16_224", **TINY),
    _of("vit_tiny_patch16_224", note="mean of tokens", global_pool="avg", **TINY),
    _of("vit_tiny_r_s16_p8_224", note="convolutions before", **TINY),
    _of("vit_base_patch16_siglip_224", note="attention pooling", **TINY, **NARROW),
    _of(
        "vit_small_patch14_reg4_dinov2",
        (56, 84),
        "registers",
        img_size=(56, 84),
        embed_dim=24,
        depth=2,
        num_heads=2,
    ),
    _of("vit_small_patch16_dinov3", **TINY, **NARROW),
    _of("deit_tiny_distilled_patch16_224", **TINY),
    _of("deit3_small_patch16_224", **TINY, **NARROW),
    _of("beit_base_patch16_224", SQUARE, img_size=SQUARE, depth=2, **NARROW),
    _of("eva02_tiny_patch14_224", (56, 84), img_size=(56, 84), depth=2),
    _of("cait_xxs24_224", depth_token_only=1, **TINY),
    _of("xcit_nano_12_p16_224", depth=2),
    _of("levit_128s", (224, 224)),
    _of("pvt_v2_b0"),
    _of("mixer_s16_224", img_size=WIDE),
    _of("resmlp_12_224", img_size=WIDE),
    _of("gmlp_ti16_224", img_size=WIDE),
    _of("convmixer_768_32"),
    _of("hiera_tiny_224", img_size=WIDE),
    _of("coatnet_nano_rw_224", img_size=WIDE),
    _of("swin_tiny_patch4_window7_224", **SWIN),
    _of("swin_tiny_patch4_window7_224", note="RMSNorm", norm_layer=torch.nn.RMSNorm, **SWIN),
    _of("swinv2_tiny_window8_256", **SWIN),
    _of("maxvit_rmlp_pico_rw_256", SQUARE, img_size=SQUARE),
    _of("twins_pcpvt_small"),
    _of("nest_tiny", SQUARE, img_size=64),
    _of("volo_d1_224", SQUARE, img_size=SQUARE),
    _of("crossvit_tiny_240", (240, 240)),
    _of("efficientformer_l1", (224, 224)),
    _of("gcvit_xxtiny", (224, 224)),
    _of("focalnet_tiny_srf"),
    _of("davit_tiny"),
    _of("poolformer_s12"),
    _of("edgenext_xx_small"),
    _of("mobilevit_xxs"),
    _of("fastvit_t8"),
    _of("repvit_m0_9"),
    _of("convnext_atto"),
    _of("convnextv2_atto"),
    _of("resnet18"),
    _of("seresnet18"),
    _of("resnetv2_50"),
    _of("nf_resnet26"),
    _of("regnety_002"),
    _of("efficientnet_b0"),
    _of("tf_efficientnetv2_b0"),
    _of("mobilenetv4_conv_small"),
    _of("ghostnet_050"),
    _of("hrnet_w18_small"),
    _of("vovnet39a"),
    _of("cspresnet50"),
]

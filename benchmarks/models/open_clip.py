"""The picture towers of open_clip, and whole models of two towers."""

from __future__ import annotations

import open_clip
import torch

from benchmarks.models.zoo import Architecture

__all__ = ["ARCHITECTURES", "PACKAGES"]

PACKAGES = ("torch", "open_clip_torch")
VISION = {"image_size": 64, "layers": 2, "width": 48, "head_width": 16, "patch_size": 16}
POOLED = {"timm_pool": "avg", "timm_proj": "linear"}
TEXT = {"context_length": 16, "vocab_size": 100, "width": 32, "heads": 2, "layers": 2}
SQUARE = (1, 3, 64, 64)


def _clip(**vision) -> open_clip.CLIP:
    return open_clip.CLIP(32, {**VISION, **vision}, TEXT)


def _tower(name: str, **vision) -> Architecture:
    return Architecture(name, lambda: _clip(**vision).visual, SQUARE)


def _with_text(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x, torch.arange(16)[None]


ARCHITECTURES = [
    _tower("VisionTransformer"),
    _tower("VisionTransformer (mean of tokens)", pool_type="avg"),
    _tower("VisionTransformer (attention pooling)", attentional_pool=True, attn_pooler_heads=4, attn_pooler_queries=4),
    _tower("ModifiedResNet", layers=(1, 1, 1, 1), width=16),
    _tower(
        "TimmModel (pvt_v2_b0)",
        timm_model_name="pvt_v2_b0",
        timm_pool="avg",
        timm_proj="linear",
    ),
    _tower("TimmModel (convnext_atto)", timm_model_name="convnext_atto", **POOLED),
    Architecture("CLIP", _clip, SQUARE, 0, _with_text),
]

"""Architectures of torchvision: classifiers of pictures and clips, and some that are refused."""

from __future__ import annotations

from torchvision import models
from torchvision.models import segmentation, video

from benchmarks.models.zoo import Architecture

__all__ = ["ARCHITECTURES", "PACKAGES"]

PACKAGES = ("torch", "torchvision")
PICTURE = (1, 3, 64, 96)
CLIP = (1, 3, 8, 64, 96)

CLASSIFIERS = (
    "alexnet convnext_tiny densenet121 efficientnet_b0 efficientnet_v2_s mnasnet0_5 mobilenet_v2 mobilenet_v3_small "
    "regnet_y_400mf resnet18 resnet50 resnext50_32x4d shufflenet_v2_x0_5 squeezenet1_1 vgg11 vgg11_bn"
)
NO_HEADS = {"num_classes": 5, "init_weights": False, "aux_logits": False}
V2 = {
    "block": models.swin_transformer.SwinTransformerBlockV2,
    "downsample_layer": models.swin_transformer.PatchMergingV2,
}


def _swin(**kwargs):
    return models.SwinTransformer([4, 4], 24, [2, 2], [2, 4], [4, 4], num_classes=5, **kwargs)


ARCHITECTURES = [
    *(
        Architecture(name, lambda name=name: models.get_model(name, num_classes=5), PICTURE)
        for name in CLASSIFIERS.split()
    ),
    Architecture("googlenet", lambda: models.googlenet(**NO_HEADS), (1, 3, 96, 128)),
    Architecture("inception_v3", lambda: models.inception_v3(**NO_HEADS), (1, 3, 96, 128)),
    Architecture(
        "VisionTransformer", lambda: models.VisionTransformer(64, 16, 2, 2, 24, 48, num_classes=5), (1, 3, 64, 64)
    ),
    Architecture("SwinTransformer", _swin, PICTURE),
    Architecture("SwinTransformer (v2)", lambda: _swin(**V2), PICTURE),
    Architecture(
        "MaxVit", lambda: models.MaxVit((64, 64), 16, 2, [16, 32], [1, 1], 16, 0.0, num_classes=5), (1, 3, 64, 64)
    ),
    Architecture("video.r3d_18", lambda: video.r3d_18(num_classes=5), CLIP),
    Architecture("video.mc3_18", lambda: video.mc3_18(num_classes=5), CLIP),
    Architecture("video.r2plus1d_18", lambda: video.r2plus1d_18(num_classes=5), CLIP),
    Architecture("video.s3d", lambda: video.s3d(num_classes=5), (1, 3, 16, 224, 224)),
    Architecture("video.swin3d_t", lambda: video.swin3d_t(num_classes=5), CLIP),
    Architecture("video.mvit_v2_s", lambda: video.mvit_v2_s(num_classes=5), (1, 3, 16, 224, 224)),
    Architecture(
        "segmentation.lraspp_mobilenet_v3_large",
        lambda: segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=5),
        PICTURE,
        "out",
    ),
]

"""The benchmarked nets: EfficientNet-Lite0 with its ImageNet weights, the others with random weights.

Time and memory do not depend on the weights.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 convolutions with a shortcut; one ReLU is used three times, as in torchvision."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) to (N, 4 * width, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


def resnet50() -> nn.Module:
    """He et al. 2016: stages of 3, 4, 6 and 3 bottlenecks; 25.6 M parameters."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
    ]
    inputs = 64
    for width, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        stage = []
        for i in range(blocks):
            stage.append(Bottleneck(inputs, width, stride if i == 0 else 1))
            inputs = 4 * width
        layers.append(nn.Sequential(*stage))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000))


def vgg16() -> nn.Module:
    """Simonyan & Zisserman 2015, configuration D; 138 M parameters."""
    features: list[nn.Module] = []
    inputs = 3
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            features += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
            inputs = width
        features.append(nn.MaxPool2d(2, 2))
    dense = [
        nn.Linear(512 * 49, 4096),
        nn.ReLU(True),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(True),
        nn.Dropout(),
    ]
    return nn.Sequential(*features, nn.AdaptiveAvgPool2d(7), nn.Flatten(), *dense, nn.Linear(4096, 1000))


def efficientnet_lite0() -> nn.Module:
    """The demo's model, with its ImageNet weights."""
    from examples.efficientnet_lite0 import model

    return model()


def vit_b16() -> nn.Module:
    """Dosovitskiy et al. 2021: 12 blocks on 14 x 14 patches and a class token; 86 M parameters."""
    from transformers import ViTConfig, ViTForImageClassification

    return Scores(ViTForImageClassification(ViTConfig(num_labels=1000)))


def swin_t() -> nn.Module:
    """Liu et al. 2021: four stages of shifted windows, 7 x 7 patches in the last; 28 M parameters."""
    from transformers import SwinConfig, SwinForImageClassification

    return Scores(SwinForImageClassification(SwinConfig(num_labels=1000)))


class Scores(nn.Module):
    """A model of Transformers that returns its logits as a tensor, which the peers need."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pictures (N, 3, 224, 224) to logits (N, 1000)."""
        return self.model(x).logits


NETS: dict[str, Callable[[], nn.Module]] = {
    "EfficientNet-Lite0": efficientnet_lite0,
    "ResNet-50": resnet50,
    "VGG-16": vgg16,
    "ViT-B/16": vit_b16,
    "Swin-T": swin_t,
}

TOKENS = ("ViT-B/16", "Swin-T")
"""The nets of tokens. The peers need a function of the user's that lays these on a grid, so they are left out."""


def build(name: str) -> nn.Module:
    """The net of this name in NETS, in evaluation mode."""
    torch.manual_seed(0)
    return NETS[name]().eval()

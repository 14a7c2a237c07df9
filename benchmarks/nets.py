"""The benchmarked nets: EfficientNet-Lite0 with its ImageNet weights, ResNet-50 and VGG-16 with random weights.

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


NETS: dict[str, Callable[[], nn.Module]] = {
    "EfficientNet-Lite0": efficientnet_lite0,
    "ResNet-50": resnet50,
    "VGG-16": vgg16,
}


def build(name: str) -> nn.Module:
    """The net of this name in NETS, in evaluation mode."""
    torch.manual_seed(0)
    return NETS[name]().eval()

"""Transformers of volumes, signals and clips that no library above has, written as their articles describe them."""

from __future__ import annotations

from math import prod

import torch
from torch import nn

from benchmarks.models.zoo import Architecture

__all__ = ["ARCHITECTURES", "PACKAGES"]

PACKAGES = ("torch",)


class Patches(nn.Module):
    """A vision transformer (Dosovitskiy 2021) in one, two or three dimensions, with a class token or a mean."""

    def __init__(self, size: tuple[int, ...], patch: int, width: int = 24, class_token: bool = True) -> None:
        super().__init__()
        convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(size) - 1]
        self.embed = convolution(1, width, patch, patch)
        self.token = nn.Parameter(torch.randn(1, 1, width)) if class_token else None
        count = prod(n // patch for n in size) + class_token
        self.position = nn.Parameter(torch.randn(1, count, width))
        block = nn.TransformerEncoderLayer(width, 3, 48, 0.0, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        if self.token is not None:
            x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1)
        x = self.norm(self.blocks(x + self.position))
        return self.head(x[:, 0] if self.token is not None else x.mean(1))


class Frames(nn.Module):
    """A classifier of clips: a 2-D net for each frame, and the mean of their features."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU())
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.body(x.flatten(0, 1)).mean((2, 3))
        return self.head(features.reshape(*x.shape[:2], -1).mean(1))


ARCHITECTURES = [
    Architecture("ViT of volumes, class token", lambda: Patches((16, 24, 32), 8), (1, 1, 16, 24, 32)),
    Architecture(
        "ViT of volumes, mean of tokens", lambda: Patches((16, 24, 32), 8, class_token=False), (1, 1, 16, 24, 32)
    ),
    Architecture("ViT of signals, class token", lambda: Patches((96,), 8), (1, 1, 96)),
    Architecture("2-D net for each frame of a clip", Frames, (1, 4, 3, 32, 48)),
]

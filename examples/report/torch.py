"""The report with PyTorch: a plain training loop and `xaicore.Monitor`.

pip install ".[demo,wandb]"
python -m examples.report.torch
python -m examples.report.torch --data PetImages
"""

from __future__ import annotations

import os
from collections.abc import Mapping

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # waiting threads must not occupy a core

import click
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import xaicore
from examples import efficientnet_lite0
from examples.report.command import SEED, Tracker, command
from examples.report.conclusions import Findings
from examples.report.pictures import Data, Pictures, network_input
from xaicore_torch import cam_model

BATCH = 16


@command("torch")
def main(data: Data, epochs: int, tracker: Tracker) -> Mapping[str, Findings]:
    """Train a classifier and log where it looks: Grad-CAM of a dense head, then CAM of a CAM-ready model."""
    torch.manual_seed(SEED)
    watching = tracker.watching(data, as_input)

    click.echo("1. A frozen network with a dense head, explained by Grad-CAM")
    model = Classifier(data.outputs).eval()  # also during training: the head, which is all that trains, has no dropout
    with xaicore.Monitor(model, method="gradcam", **watching) as monitor:
        train(model, model.head, data, range(epochs), 1e-3, tracker, monitor)

    click.echo("2. The same network made CAM-ready: pooling and one dense layer, explained by CAM")
    # Made from the body, so that the explained layer keeps its name and the gallery shows both models as one series.
    cam = cam_model(model.body, classes=data.outputs, freeze=True).eval()
    with xaicore.Monitor(cam, method=["cam", "gradcam"], **watching) as monitor:
        train(cam, cam.dense, data, range(epochs, 2 * epochs), 1e-2, tracker, monitor)

    # Two classes share one logit, and one number alone might be no logit but any value.
    dense_head = xaicore.Explainer(model, method="gradcam", kind="logits")
    cam_ready = xaicore.Explainer(cam, method="cam", kind="logits")
    return {
        "Dense head, Grad-CAM": Findings.measure(dense_head, data, as_input),
        "CAM-ready, CAM": Findings.measure(cam_ready, data, as_input),
    }


class Classifier(nn.Module):
    """A network with frozen ImageNet weights and a trainable dense head; it returns logits."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.body = efficientnet_lite0.model().requires_grad_(False)
        self.head = nn.Sequential(nn.Linear(1280, 64), nn.ReLU(), nn.Linear(64, outputs))
        self.to(memory_format=torch.channels_last)  # twice as fast on a CPU

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pictures (N, 3, H, W) to logits (N, outputs)."""
        return self.head(self.body.extract_features(x).mean(dim=(2, 3)))


def train(
    model: nn.Module,
    head: nn.Module,
    data: Data,
    epochs: range,
    rate: float,
    tracker: Tracker,
    monitor: xaicore.Monitor,
) -> None:
    """A plain loop that trains the head; only its last line belongs to the monitor."""
    optimizer = torch.optim.Adam(head.parameters(), lr=rate)
    x, truth = torch.from_numpy(as_input(data.train.images)), torch.from_numpy(data.train.truth)
    for epoch in epochs:
        total, correct = 0.0, 0
        for batch in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            logits = model(x[batch])
            loss = loss_of(logits, truth[batch])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
            correct += count_correct(logits, truth[batch])
        metrics = {"loss": total / len(x), "accuracy": correct / len(x), **evaluate(model, data.validation)}
        click.echo(f"epoch {epoch}: " + ", ".join(f"{name} {value:.3f}" for name, value in metrics.items()))
        tracker.metrics(epoch, metrics)
        monitor.step(epoch)


@torch.no_grad()
def evaluate(model: nn.Module, pictures: Pictures) -> dict[str, float]:
    """Loss and accuracy on validation pictures."""
    truth = torch.from_numpy(pictures.truth)
    logits = torch.cat([model(x) for x in torch.from_numpy(as_input(pictures.images)).split(BATCH)])
    return {"val_loss": float(loss_of(logits, truth)), "val_accuracy": count_correct(logits, truth) / len(truth)}


def loss_of(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """The cross entropy of a sigmoid for one output, of a softmax for several."""
    if logits.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(logits[:, 0], truth.float())
    return F.cross_entropy(logits, truth)


def count_correct(logits: torch.Tensor, truth: torch.Tensor) -> int:
    """The number of correct predictions."""
    predicted = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(dim=1)
    return int((predicted == truth).sum())


def as_input(images: np.ndarray) -> np.ndarray:
    """From pictures (N, H, W, 3) uint8 to (N, 3, H, W) float32, with the channels last in memory."""
    return network_input(images).transpose(0, 3, 1, 2)


if __name__ == "__main__":
    main()

"""The report with PyTorch: a plain training loop and `xaicore.Monitor`.

pip install "xaicore[demo,wandb]"
python -m examples.report.torch
python -m examples.report.torch --data PetImages
"""

from __future__ import annotations

import os
from collections.abc import Mapping

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait take the core from those that do not

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
    """Train a classifier and watch where it looks: Grad-CAM of a dense head, then CAM of a CAM-ready model."""
    torch.manual_seed(SEED)

    click.echo("1. A frozen network with a dense head, explained by Grad-CAM")
    model = Classifier(data.outputs).eval()  # for good: nothing but the head learns, and that is the same in training
    with watch(model, data, tracker, method="gradcam") as monitor:
        train(model, model.head, data, range(epochs), 1e-3, tracker, monitor)

    click.echo("2. The same network made CAM-ready: pooling and one dense layer, explained by CAM")
    # Of its body, not of all of it, so that the layer keeps its name and the gallery goes on with it.
    cam = cam_model(model.body, classes=data.outputs, freeze=True).eval()
    with watch(cam, data, tracker, method=["cam", "gradcam"]) as monitor:
        train(cam, cam.dense, data, range(epochs, 2 * epochs), 1e-2, tracker, monitor)

    return {
        "Dense head, Grad-CAM": Findings.of(xaicore.Explainer(model, method="gradcam"), data, as_input),
        "CAM-ready, CAM": Findings.of(xaicore.Explainer(cam, method="cam"), data, as_input),
    }


class Classifier(nn.Module):
    """A network with ImageNet weights that are frozen, and a dense head that is trained. It gives logits."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.body = efficientnet_lite0.model().requires_grad_(False)
        self.head = nn.Sequential(nn.Linear(1280, 64), nn.ReLU(), nn.Linear(64, outputs))
        self.to(memory_format=torch.channels_last)  # twice as fast on a CPU

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) to (N, outputs)."""
        return self.head(self.body.extract_features(x).mean(dim=(2, 3)))


def watch(model: nn.Module, data: Data, tracker: Tracker, method: str | list[str]) -> xaicore.Monitor:
    """A monitor of the watched pictures and of the four worst predictions."""
    return xaicore.Monitor(
        model,
        sample(data.watched),
        class_names=data.names,
        targets=data.targets,
        method=method,
        worst=4,
        pool=sample(data.validation),
        loggers=tracker.loggers,
        name=tracker.name,
    )


def train(
    model: nn.Module,
    learning: nn.Module,
    data: Data,
    epochs: range,
    rate: float,
    tracker: Tracker,
    monitor: xaicore.Monitor,
) -> None:
    """A plain loop; the monitor's line is the last one."""
    optimizer = torch.optim.Adam(learning.parameters(), lr=rate)
    x, truth = torch.from_numpy(as_input(data.train.images)), torch.from_numpy(data.train.truth)
    for epoch in epochs:
        total, right = 0.0, 0
        for batch in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            logits = model(x[batch])
            loss = loss_of(logits, truth[batch])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
            right += count_right(logits, truth[batch])
        metrics = {"loss": total / len(x), "accuracy": right / len(x), **evaluate(model, data.validation)}
        click.echo(f"epoch {epoch}: " + ", ".join(f"{name} {value:.3f}" for name, value in metrics.items()))
        tracker.metrics(epoch, metrics)
        monitor.step(epoch)


@torch.no_grad()
def evaluate(model: nn.Module, pictures: Pictures) -> dict[str, float]:
    """Loss and accuracy on pictures that are not trained on."""
    truth = torch.from_numpy(pictures.truth)
    logits = torch.cat([model(x) for x in torch.from_numpy(as_input(pictures.images)).split(BATCH)])
    return {"val_loss": float(loss_of(logits, truth)), "val_accuracy": count_right(logits, truth) / len(truth)}


def loss_of(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Cross entropy, of one sigmoid or of a softmax."""
    if logits.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(logits[:, 0], truth.float())
    return F.cross_entropy(logits, truth)


def count_right(logits: torch.Tensor, truth: torch.Tensor) -> int:
    """How many are classified right."""
    predicted = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(dim=1)
    return int((predicted == truth).sum())


def sample(pictures: Pictures) -> xaicore.Sample:
    """Pictures as a monitor takes them."""
    return xaicore.Sample(as_input(pictures.images), pictures.truth, pictures.images, pictures.ids)


def as_input(images: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) uint8 to (N, 3, H, W) float32, in memory as before: channels last."""
    return network_input(images).transpose(0, 3, 1, 2)


if __name__ == "__main__":
    main()

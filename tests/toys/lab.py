"""A small training whose every bit counts: a net, pictures with augmentation, and what is compared."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import count, pairwise
from typing import Any

import numpy as np
import torch
from recorder import Recorder
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

import xaicore
from xaicore.testing.state import bits

CLASSES = 3
NAMES = ("ant", "bee", "cat")


class Net(nn.Module):
    """Two convolutions, one BatchNorm that learns and one that is frozen, dropout, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.learning = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.frozen = nn.BatchNorm2d(8)
        self.dropout = nn.Dropout(0.3)
        self.dense = nn.Linear(8, CLASSES)
        self.flags: list[list[bool]] = []  # what each training pass has found
        self.frozen.weight.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> Net:
        super().train(mode)
        self.frozen.eval()
        return self

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.frozen(self.conv2(F.relu(self.learning(self.conv1(x))))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(self.dropout(self.features(x).mean((2, 3))))


class Pictures(Dataset):
    """Augmented anew each time, from the random streams of Python, NumPy and torch."""

    def __init__(self, n: int = 24, as_dict: bool = False) -> None:
        rng = np.random.default_rng(3)
        self.y = np.arange(n) % CLASSES
        self.x = torch.from_numpy(rng.normal(size=(n, 3, 32, 32)).astype(np.float32))
        self.x[range(n), self.y, 8:24, 8:24] += 2
        self.as_dict = as_dict

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, n: int) -> Any:
        x = self.x[n].roll(int(4 * random.random()), 2) * np.float32(1 + 0.1 * np.random.rand()) + 0.1 * torch.randn(
            3, 1, 1
        )
        return {"pixel_values": x, "labels": int(self.y[n])} if self.as_dict else (x, int(self.y[n]))


def seed() -> None:
    for module in (random, np.random):
        module.seed(7)
    torch.manual_seed(7)


def shuffled(**options: Any) -> DataLoader:
    """A loader with random numbers of its own."""
    return DataLoader(Pictures(), 8, shuffle=True, generator=torch.Generator().manual_seed(5), **options)


def watched(n: int = 5) -> dict[str, Any]:
    """Pictures that no training sees."""
    x = np.random.default_rng(9).normal(size=(n, 3, 32, 32)).astype(np.float32)
    return {"x": x, "truth": np.arange(n) % CLASSES, "class_names": NAMES}


def out_of_order() -> None:
    raise OSError("the tracker is out of order")


def fails_later() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A method that is all right on the first look."""
    calls = count()

    def method(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        if next(calls):
            raise ArithmeticError("on purpose")
        return gradients.mean(2)

    return method


def worst_in(loader: DataLoader) -> dict[str, Any]:
    return {**watched(), "worst": 2, "pool": loader}


def each_class_of(loader: DataLoader) -> dict[str, Any]:
    return {"x": loader, "per_class": 2, "class_names": NAMES}


Logged = list[tuple[int | None, xaicore.Explanation]]
Options = Callable[[DataLoader], dict[str, Any]]

WAYS: dict[str, Options] = {
    "several methods": lambda loader: {**watched(), "method": ["gradcam", "hirescam", "eigencam"], "batch_size": 2},
    "worst of the training data": worst_in,
    "per class of the training data": each_class_of,
    "a logger that raises": lambda loader: {**watched(), "loggers": Recorder(out_of_order)},
    "a logger that is slow": lambda loader: {**watched(), "loggers": Recorder(lambda: time.sleep(0.02))},
    "a logger in the training's thread": lambda loader: {**watched(), "beside": False},
    "a method that fails": lambda loader: {**watched(), "method": fails_later()},
}
"""Monitor's arguments, given the loader that trains."""


def of_way(way: str, loader: DataLoader) -> dict[str, Any]:
    options = WAYS[way](loader)
    return {"loggers": Recorder(), **options}


def callback(cls: Any, way: str, loader: DataLoader, **options: Any) -> tuple[Any, Recorder]:
    """A callback of this class that watches in this way, and its logger."""
    watching = {**of_way(way, loader), **options}
    return cls(watching.pop("x"), **watching), watching["loggers"]


def assert_logged(way: str, log: Recorder, steps: list[int]) -> None:
    """All steps have come, unless something was to go wrong, and the logger was closed."""
    wrong = way in ("a logger that raises", "a method that fails")
    assert sorted(set(log.steps)) == ([] if wrong else steps)
    assert (log.events[0], log.events[-1], log.events.count("close")) == ("open", "close", 1)


# What is compared.


HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def traces(net: nn.Module, optimizer: Any, loader: DataLoader | None = None, **more: Any) -> dict[str, Any]:
    """All that a training leaves behind."""
    own = getattr(loader, "generator", None)
    return bits(
        {
            "weights and statistics": net.state_dict(),
            "optimizer": None if optimizer is None else optimizer.state_dict(),
            "gradients": {name: parameter.grad for name, parameter in net.named_parameters()},
            "requires_grad": {name: parameter.requires_grad for name, parameter in net.named_parameters()},
            "training flags": {name: module.training for name, module in net.named_modules()},
            "hooks": {name: [len(getattr(module, h)) for h in HOOKS] for name, module in net.named_modules()},
            "hooks of tensors": {name: len(p._backward_hooks or ()) for name, p in net.named_parameters()},
            "attributes": {name: sorted(vars(module)) for name, module in net.named_modules()},
            "torch's random stream": torch.get_rng_state(),
            "Python's random stream": random.getstate(),
            "NumPy's random stream": np.random.get_state(),
            "the loader's random stream": None if own is None else own.get_state(),
            **more,
        }
    )


def different(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Names of what is not the same, bit for bit."""
    assert one.keys() == other.keys()
    return [name for name in one if one[name] != other[name]]


def assert_explains(
    logged: list[tuple[int | None, xaicore.Explanation]], nets: dict[int, nn.Module], **options: Any
) -> None:
    """Each step's heatmaps are those of the model as it was then, which learns."""
    assert [step for step, _ in logged] == list(nets)
    for step, explanation in logged:
        wanted = xaicore.explain(nets[step], **watched(), **options)
        for name in ("maps", "scores", "outputs", "predicted", "truth", "images"):
            np.testing.assert_array_equal(getattr(explanation, name), getattr(wanted, name), name)
        assert explanation.class_names == NAMES
    assert all((a.maps != b.maps).any() for (_, a), (_, b) in pairwise(logged))

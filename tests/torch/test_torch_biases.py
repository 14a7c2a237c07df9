"""The power "biases": what layers answer to zeros, and FullGrad's sum over a net of ReLUs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from xaicore_torch.backend import TorchBackend


class Residual(nn.Module):
    """Convolutions with and without biases, batch norms, a skip connection, a layer that runs twice, dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.twice = nn.Conv2d(6, 6, 3, padding=1)
        self.plain = nn.Conv2d(6, 6, 1, bias=False)
        self.pool = nn.MaxPool2d(2)
        self.dense = nn.Linear(6, 5)
        self.last = nn.Linear(5, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.stem(x)), inplace=True)
        x = self.pool(x + F.relu(self.twice(x)))
        x = F.relu(self.plain(self.twice(x)))
        return self.last(F.relu(self.dense(x.mean((2, 3)))))


@pytest.fixture
def model() -> Residual:
    torch.manual_seed(0)
    net = Residual()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 2)
                for values in (module.bias, module.running_mean):
                    values.normal_()
                module.running_var.uniform_(0.5, 2)
    return net.eval()


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(2, 3, 8, 10, generator=torch.Generator().manual_seed(1))


def test_biases_are_those_of_the_layers(model: Residual, x: torch.Tensor) -> None:
    found = TorchBackend(model).biases(x)
    assert list(found) == ["stem", "norm", "twice#1", "twice#2", "dense", "last"]
    norm = model.norm
    implicit = norm.bias - norm.weight * norm.running_mean / torch.sqrt(norm.running_var + norm.eps)
    expected = {
        "stem": (model.stem.bias, (1, 6, 8, 10)),
        "norm": (implicit, (1, 6, 8, 10)),
        "twice#1": (model.twice.bias, (1, 6, 8, 10)),
        "twice#2": (model.twice.bias, (1, 6, 4, 5)),
        "dense": (model.dense.bias, (1, 5)),
        "last": (model.last.bias, (1, 4)),
    }
    for name, (bias, shape) in expected.items():
        array = bias.detach().numpy().reshape(1, -1, *[1] * (len(shape) - 2))
        np.testing.assert_allclose(found[name], np.broadcast_to(array, shape), atol=1e-6)


def test_terms_of_input_and_biases_add_up_to_the_score(model: Residual, x: torch.Tensor) -> None:
    """Srinivas & Fleuret 2019: f(x) = G x + sum_l G_l b_l."""
    backend, leaf = TorchBackend(model), x.clone().requires_grad_()
    biases = backend.biases(x)
    direction = np.eye(4, dtype=np.float32)[None, [2, 0]].repeat(2, axis=0)
    capture = backend.capture(x, list(biases), lambda outputs, kind: direction)
    scores = model(leaf)
    for k, target in enumerate([2, 0]):
        (of_input,) = torch.autograd.grad(scores[:, target].sum(), leaf, retain_graph=True)
        total = (of_input * x).sum((1, 2, 3)).numpy()
        for name, bias in biases.items():
            total = total + (capture.gradients[name][:, k] * bias).reshape(2, -1).sum(axis=1)
        np.testing.assert_allclose(total, scores[:, target].detach().numpy(), atol=1e-5)


def test_a_layer_without_a_bias_has_none(x: torch.Tensor) -> None:
    assert TorchBackend(nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.ReLU(), nn.Flatten())).biases(x) == {}


def test_a_computed_weight_and_a_hook_of_the_users(model: Residual, x: torch.Tensor) -> None:
    expected = TorchBackend(model).biases(x)
    nn.utils.parametrizations.weight_norm(model.stem)
    calls: list[nn.Module] = []
    model.stem.register_forward_hook(lambda module, args, output: calls.append(module))
    found = TorchBackend(model).biases(x)
    assert list(found) == list(expected)
    np.testing.assert_allclose(found["stem"], expected["stem"], atol=1e-6)
    assert calls == [model.stem]  # once, in the model's own pass


@pytest.mark.parametrize("training", [False, True])
def test_the_model_is_left_as_it_was(model: Residual, x: torch.Tensor, unchanged: Any, training: bool) -> None:
    model.train(training)
    model.norm.eval()
    with unchanged(model):
        TorchBackend(model).biases(x)


def test_also_after_an_exception(
    model: Residual, x: torch.Tensor, unchanged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(value: torch.Tensor) -> torch.Tensor:
        raise KeyboardInterrupt

    monkeypatch.setattr(model.train().plain, "forward", stop)
    with unchanged(model), pytest.raises(KeyboardInterrupt):
        TorchBackend(model).biases(x)

"""The power "biases": what layers have beyond their derivatives, and FullGrad's sum over all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import xaicore
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


@pytest.mark.parametrize("make", [nn.ReLU6, nn.GELU, nn.SiLU, nn.Sigmoid, lambda: nn.GroupNorm(2, 6), nn.Softplus])
def test_activations_and_norms_have_biases_of_their_tangents(make: Callable[[], nn.Module], x: torch.Tensor) -> None:
    """f(z) - f'(z) z, with which input and biases add up to the score of any net of such layers."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3), make(), nn.Conv2d(6, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    net[0].weight.data *= 20  # beyond 6
    leaf = x[:1].clone().requires_grad_()
    taken = net[0](leaf)
    expected = net[1](taken) - torch.autograd.functional.jvp(net[1], taken.detach(), taken.detach())[1]
    backend = TorchBackend(net)
    found = backend.biases(x[:1])
    assert list(found) == ["0", "1", "2"]
    np.testing.assert_allclose(found["1"], expected.detach().numpy(), atol=1e-4)
    score = net(leaf)[0, 1]
    direction = np.eye(4, dtype=np.float32)[None, [1]]
    capture = backend.capture(x[:1], list(found), lambda outputs, kind: direction)
    total = (torch.autograd.grad(score, leaf)[0] * leaf).sum().item()
    total += sum((capture.gradients[name][:, 0] * bias).sum() for name, bias in found.items())
    assert total == pytest.approx(score.item(), rel=1e-4)


def test_a_layer_that_has_no_forward_derivative_has_no_bias(x: torch.Tensor) -> None:
    class Round(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, value: torch.Tensor) -> torch.Tensor:
            return value.round()

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
            return gradient

    class Rounding(nn.Module):
        def forward(self, value: torch.Tensor) -> torch.Tensor:
            return Round.apply(value)

    net = nn.Sequential(nn.Conv2d(3, 2, 1), Rounding(), nn.Flatten())
    assert list(TorchBackend(net).biases(x)) == ["0"]


def test_a_layer_without_a_bias_has_none(x: torch.Tensor) -> None:
    assert TorchBackend(nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.ReLU(), nn.Flatten())).biases(x) == {}


def test_layers_of_another_output_have_no_terms(model: Residual, x: torch.Tensor) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.other = model, nn.Conv2d(3, 2, 3)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.other(x).mean((2, 3)), self.net(x)

    found = xaicore.Explainer(Two().eval(), "fullgrad", output=1)(x, [[2, 0]])
    np.testing.assert_allclose(found.maps, xaicore.explain(model, x, [[2, 0]], method="fullgrad").maps, atol=1e-5)


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

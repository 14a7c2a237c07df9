"""Methods on the input of PyTorch models, against plain autograd; the model stays as it was, also in the middle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from test_torch_biases import Residual
from torch import nn

import xaicore
from xaicore.methods import method

NAMES = (
    *("gradient", "input-x-gradient", "smoothgrad", "integrated-gradients"),
    *("guided", "deconv", "guided-gradcam", "fullgrad"),
)
TARGETS = [[2, 0]]


@pytest.fixture
def model() -> Residual:
    torch.manual_seed(3)
    net = Residual()
    with torch.no_grad():
        net.norm.running_mean.normal_()
        net.norm.running_var.uniform_(0.5, 2)
    return net.eval()


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(2, 3, 8, 10, generator=torch.Generator().manual_seed(1))


def slopes(model: nn.Module, x: torch.Tensor, target: int) -> torch.Tensor:
    """(N, C, H, W), by autograd."""
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(model(leaf)[:, target].sum(), leaf)[0]


def rows(maps: list[torch.Tensor]) -> np.ndarray:
    """Maps (N, H, W) of each target as (N * K, H, W)."""
    return torch.stack(maps, 1).flatten(0, 1).numpy()


def test_gradient_and_input_x_gradient(model: Residual, x: torch.Tensor) -> None:
    found = xaicore.Explainer(model).compare(x, ["gradient", "input-x-gradient"], TARGETS)
    g = [slopes(model, x, target) for target in TARGETS[0]]
    np.testing.assert_allclose(found["gradient"].maps, rows([one.abs().amax(1) for one in g]), atol=1e-6)
    np.testing.assert_allclose(found["input-x-gradient"].maps, rows([(one * x).sum(1) for one in g]), atol=1e-6)


def test_integrated_gradients(model: Residual, x: torch.Tensor) -> None:
    found = xaicore.explain(model, x, TARGETS, method=method("integrated-gradients", steps=20, baseline=0.3))
    means = []
    for target in TARGETS[0]:
        path = [slopes(model, 0.3 + (i + 0.5) / 20 * (x - 0.3), target) for i in range(20)]
        means.append((torch.stack(path).mean(0) * (x - 0.3)).sum(1))
    np.testing.assert_allclose(found.maps, rows(means), atol=1e-5)
    fine = xaicore.explain(model, x, TARGETS, method=method("integrated-gradients", steps=1000)).maps
    with torch.no_grad():
        scores = (model(x) - model(torch.zeros_like(x)))[:, TARGETS[0]].reshape(-1).numpy()
    np.testing.assert_allclose(fine.sum(axis=(1, 2), dtype=np.float64), scores, rtol=1e-3, atol=1e-3)


def test_smoothgrad(model: Residual, x: torch.Tensor) -> None:
    found = xaicore.explain(model, x, TARGETS, method=method("smoothgrad", n=5, sigma=0.1))
    spread = (x.amax((1, 2, 3), keepdim=True) - x.amin((1, 2, 3), keepdim=True)) * 0.1
    noise = [np.random.default_rng(i).standard_normal((1, 3, 8, 10), np.float32) for i in range(5)]
    means = [
        torch.stack([slopes(model, x + spread * torch.as_tensor(one), target) for one in noise]).mean(0).abs().amax(1)
        for target in TARGETS[0]
    ]
    np.testing.assert_allclose(found.maps, rows(means), atol=1e-5)


def test_fullgrad_is_the_sum_over_the_layers_that_are_maps(model: Residual, x: torch.Tensor) -> None:
    """Captured by hooks of the test's own, with the implicit bias of the batch norm."""
    norm = model.norm
    implicit = norm.bias - norm.weight * norm.running_mean / torch.sqrt(norm.running_var + norm.eps)
    biases = {model.stem: model.stem.bias, norm: implicit, model.twice: model.twice.bias}
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []

    def keep(module: nn.Module, args: Any, output: torch.Tensor) -> torch.Tensor:
        kept.append((biases[module], output))
        return output.clone()  # a ReLU works in place

    handles = [module.register_forward_hook(keep) for module in biases]
    leaf = x.clone().requires_grad_()
    y = model(leaf)
    for handle in handles:
        handle.remove()
    expected = np.zeros((2, 2, 8, 10))
    for k, target in enumerate(TARGETS[0]):
        outputs = [output for _, output in kept]
        of_input, *of_layers = torch.autograd.grad(y[:, target].sum(), [leaf, *outputs], retain_graph=True)
        terms = [of_input * x, *(g * bias[:, None, None] for g, (bias, _) in zip(of_layers, kept, strict=True))]
        assert len(terms) == 5  # one layer runs twice
        for term in terms:
            size = term.detach().abs()
            low, high = size.amin((1, 2, 3), keepdim=True), size.amax((1, 2, 3), keepdim=True)
            shares = ((size - low) / (high - low)).sum(1, keepdim=True)
            resized = nn.functional.interpolate(shares, (8, 10), mode="bilinear", align_corners=False)
            expected[:, k] += resized[:, 0].numpy()
    found = xaicore.explain(model, x, TARGETS, method="fullgrad")
    np.testing.assert_allclose(found.maps.reshape(2, 2, 8, 10), expected, atol=1e-4)
    assert found.layer == "the input"


class Gated(nn.Module):
    """Multiplies a map by a function of it, as squeeze-and-excitation does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        return (x * torch.sigmoid(self.gate(x))).mean((2, 3))


def test_fullgrad_refuses_a_net_of_gates(x: torch.Tensor) -> None:
    torch.manual_seed(0)
    with pytest.raises(xaicore.MethodError, match=r"2 layers add up to .* such as attention, gates.*integrated"):
        xaicore.explain(Gated(), x, method="fullgrad")
    assert xaicore.explain(Gated(), x, method="integrated-gradients").signed


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_equals_its_images_and_targets(model: Residual, x: torch.Tensor, name: str) -> None:
    together = xaicore.explain(model, x, TARGETS, method=name).maps.reshape(2, 2, 8, 10)
    for n in range(2):
        for k, target in enumerate(TARGETS[0]):
            alone = xaicore.explain(model, x[n : n + 1], target, method=name).maps[0]
            np.testing.assert_allclose(together[n, k], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("training", [False, True])
def test_the_model_is_left_as_it_was(
    model: Residual, x: torch.Tensor, unchanged: Any, name: str, training: bool
) -> None:
    model.train(training)
    model.norm.eval()
    with unchanged(model):
        xaicore.explain(model, x, method=name)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("name", ["smoothgrad", "integrated-gradients"])
def test_also_where_a_pass_in_the_middle_fails(
    model: Residual,
    x: torch.Tensor,
    unchanged: Any,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    error: type[BaseException],
) -> None:
    options = {"n": 400} if name == "smoothgrad" else {"steps": 400}
    explainer = xaicore.Explainer(model.train(), method(name, **options))
    passes, forward = [], model.dense.forward

    def failing(value: torch.Tensor) -> torch.Tensor:
        passes.append(len(value))
        if len(passes) == 9:
            raise error("stop")
        return forward(value)

    monkeypatch.setattr(model.dense, "forward", failing)
    expected = xaicore.BackendError if error is RuntimeError else error
    with unchanged(model), pytest.raises(expected, match="stop"):
        explainer(x)
    assert len(passes) == 9


def test_a_model_without_any_map_is_explained_on_its_input(x: torch.Tensor) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(240, 16), nn.ReLU(), nn.Linear(16, 3))
    found = xaicore.explain(net, x, [[1]], method="input-x-gradient")
    expected = (slopes(net, x, 1) * x).sum(1).numpy()
    np.testing.assert_allclose(found.maps, expected, atol=1e-6)
    assert (found.layer, found.images.shape) == ("the input", (2, 8, 10, 3))
    whole = xaicore.explain(net, x, [[1]], method="fullgrad")
    assert whole.maps.shape == (2, 8, 10)


def test_whole_numbers_have_no_gradient() -> None:
    class Embedded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x / 255).mean((2, 3))

    pixels = torch.randint(0, 256, (1, 3, 8, 8), dtype=torch.uint8)
    with pytest.raises(xaicore.MethodError, match="whole numbers: pass floating-point pixels"):
        xaicore.explain(Embedded(), pixels, method="gradient")

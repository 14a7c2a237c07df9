"""Methods of many passes on PyTorch: against plain loops, the model as before, and inputs in every layout."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch_nets import ConvGapDense, pictures

import xaicore
from xaicore.methods import method
from xaicore_torch.backend import TorchBackend

MANY = [method("scorecam"), method("iscam", samples=2), method("sscam", samples=2), method("rise", masks=20, grid=3)]


def mask(channel, size):
    """A channel (h, w), upsampled and then scaled to [0, 1]."""
    up = F.interpolate(channel[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    return (up - up.min()) / (up.max() - up.min())


class Strided(nn.Module):
    """A map of half the picture's size; `last` sees the picture in another layout."""

    def __init__(self, axes="nchw"):
        super().__init__()
        torch.manual_seed(0)
        self.axes = axes
        self.conv = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.dense = nn.Linear(6, 4)

    def forward(self, x):
        x = torch.einsum(f"{self.axes}->nchw", x)
        return self.dense(F.relu(self.conv(x)).mean((2, 3)))


@pytest.mark.parametrize("axes", ["nchw", "nhwc"])
def test_scorecam_is_a_loop_over_channels(axes):
    model = Strided(axes).eval()
    x = torch.randn(2, 3, 8, 10)
    with torch.no_grad():
        a = model.conv(x)
        weights = torch.empty(2, 6)
        for n in range(2):
            for c in range(6):
                masked = x[n] * mask(a[n, c], (8, 10))
                weights[n, c] = model(torch.einsum(f"nchw->{axes}", masked[None]))[0, 2]
        expected = F.relu(torch.einsum("nc,nchw->nhw", weights.softmax(1), a)).numpy()
    found = xaicore.explain(model, torch.einsum(f"nchw->{axes}", x), 2, method="scorecam", layer="conv", batch_size=5)
    np.testing.assert_allclose(found.maps, expected, rtol=1e-5, atol=1e-6)


def test_other_inputs_stay_with_their_image():
    class WithNumbers(Strided):
        def forward(self, x, numbers):
            return super().forward(x) * numbers[:, None]

    model, x = WithNumbers().eval(), torch.randn(3, 3, 8, 10)
    numbers = torch.tensor([1.0, 2.0, -1.0])
    together = xaicore.explain(model, (x, numbers), 2, method="scorecam", layer="conv", batch_size=4)
    for n in range(3):
        alone = xaicore.explain(model, (x[n : n + 1], numbers[n : n + 1]), 2, method="scorecam", layer="conv")
        np.testing.assert_allclose(together.maps[n], alone.maps[0], rtol=1e-5, atol=1e-6)


def test_whole_numbers_stay_pixels():
    class Pixels(Strided):
        def forward(self, x):
            assert x.dtype == torch.uint8
            return super().forward(x / 255)

    model = Pixels().eval()
    x = torch.randint(0, 256, (1, 3, 8, 10), dtype=torch.uint8)
    with torch.no_grad():
        a = model.conv(x / 255)
        weights = torch.stack([model((x[0] * mask(a[0, c], (8, 10))).round().byte()[None])[0, 2] for c in range(6)])
        expected = F.relu(torch.einsum("c,chw->hw", weights.softmax(0), a[0])).numpy()
    found = xaicore.explain(model, x, 2, method="scorecam", layer="conv")
    np.testing.assert_allclose(found.maps[0], expected, rtol=1e-5, atol=1e-6)


class FailsLater(nn.Module):
    """Raises in a pass to come; draws random numbers and writes a buffer in each."""

    def __init__(self, error):
        super().__init__()
        self.net = ConvGapDense()
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))
        self.error, self.left = error, [10**9]

    def forward(self, x):
        self.calls += 1
        torch.rand(1)
        self.left[0] -= 1
        if not self.left[0]:
            raise self.error
        return self.net(x)


@pytest.mark.parametrize("error", [RuntimeError("on purpose"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("one", MANY, ids=lambda one: one.name)
def test_the_model_is_as_before_after_a_pass_that_fails(unchanged, one, error):
    model, told = FailsLater(error).train(), []
    explainer = xaicore.Explainer(model, one, batch_size=1, progress=lambda done, total: told.append(done))
    explainer(pictures(), 1)  # finds the layer
    told.clear()
    model.left[0] = 7
    with unchanged(model), pytest.raises(type(error) if isinstance(error, KeyboardInterrupt) else xaicore.BackendError):
        explainer(pictures(), 1)
    assert told == [1, 2, 3, 4, 5]  # the seventh pass is the sixth after the first one


@pytest.mark.parametrize("one", MANY, ids=lambda one: one.name)
def test_the_model_is_as_before(unchanged, one):
    model = ConvGapDense().train()
    model(pictures()).sum().backward()
    with unchanged(model):
        xaicore.explain(model, pictures(), [[0, 1]], method=one)


@pytest.mark.parametrize("name", ["scorecam", "ablationcam", "integrated-gradients"])
def test_a_batch_norm_without_running_statistics(name):
    """Each changed version is normalised by itself, as the image is; several images are refused."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, track_running_stats=False), nn.ReLU(), nn.Conv2d(6, 4, 3)]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    x = torch.randn(2, 3, 8, 10)
    one = xaicore.Explainer(model, name, layer="0", batch_size=1)
    many = xaicore.Explainer(model, name, layer="0")
    with pytest.warns(RuntimeWarning, match="run one by one"):
        found = many(x[:1], [[1, 2]])
    np.testing.assert_allclose(found.maps, one(x[:1], [[1, 2]]).maps, rtol=1e-4, atol=1e-6)
    with pytest.raises(xaicore.MethodError, match="the 2 images of the batch influence each other"):
        many(x, [[1, 2]])


class Frozen(nn.Module):
    """A convolution under the model's own no_grad."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    @torch.no_grad()
    def forward(self, x):
        return self.conv(x)


@pytest.mark.parametrize("names", [("0.conv",), ("0.conv", "1"), ("1", "0", "0.conv")])
def test_layers_under_a_models_own_no_grad(names):
    """Alone and among others, also where a ReLU writes into what they gave."""
    torch.manual_seed(0)
    model = nn.Sequential(Frozen(), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    x = torch.randn(2, 3, 8, 10)
    backend = TorchBackend(model)
    rows = np.random.default_rng(0).normal(size=(2, 3, 2)).astype(np.float32)
    gradients = backend.capture(x, names, lambda *_: rows).gradients
    shares = rows @ model[4].weight.detach().numpy() / (6 * 8)
    of_relu = np.broadcast_to(shares[..., None, None], (2, 3, 4, 6, 8))
    of_conv = of_relu * (model[0](x).detach().numpy() > 0)[:, None]
    for name in names:
        np.testing.assert_allclose(gradients[name], of_relu if name == "1" else of_conv, rtol=1e-5, atol=1e-7)
    reached = {layer.name: dict(layer.reached) for layer in backend.observe(x).layers}
    assert reached["0"][1] == reached["1"][1] == [True] * 4

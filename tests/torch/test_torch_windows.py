"""Windows of real nets, on PyTorch: values against one pass, and the memory of one batch."""

import numpy as np
import pytest
import torch
from torch import nn

import xaicore


class Pointwise(nn.Module):
    """Sees every position by itself, so that windows see what one pass does."""

    def __init__(self, last=False):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.act, self.head, self.last = nn.Conv3d(2, 6, 1), nn.ReLU(), nn.Linear(6, 3), last
        self.batches = []

    def forward(self, x):
        self.batches.append(len(x))
        x = x.permute(0, 4, 1, 2, 3) if self.last else x
        return self.head(self.act(self.conv(x)).mean((2, 3, 4)))


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("overlap", [0, 0.5, 0.7])
@pytest.mark.parametrize("method", ["gradcam", "hirescam", "input-x-gradient"])
@pytest.mark.parametrize("last", [False, True])
def test_windows_of_a_pointwise_net_give_the_map_of_one_pass(overlap, method, last):
    """But for the mean, which divides the gradient by the number of positions of a window."""
    model = Pointwise(last).eval()
    x = noise(2, 2, 9, 8, 7)
    x = x.permute(0, 2, 3, 4, 1).contiguous() if last else x
    explainer = xaicore.Explainer(model, method, "act", input_axes="ndhwc" if last else None)
    whole = explainer(x, targets=1)
    found = xaicore.sliding(explainer, x, (4, 5, 7), overlap, 3, targets=1)
    np.testing.assert_allclose(found.maps / (9 * 8), whole.maps / (4 * 5), rtol=2e-4, atol=1e-9)
    np.testing.assert_allclose(found.heatmaps(), whole.heatmaps(), rtol=2e-4, atol=1e-6)
    assert found.signed == whole.signed


def test_evidence_in_one_window_stays_where_it_is():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv3d(1, 4, 3, 1, 1), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 2))
    with torch.no_grad():
        model[0].bias.zero_()
        model[4].weight.copy_(torch.tensor([[-1.0] * 4, [1.0] * 4]))
    x = torch.zeros(1, 1, 16, 16, 16)
    x[0, 0, 12, 3, 9] = 5
    found = xaicore.sliding(xaicore.Explainer(model), x, 8, targets=1)
    at = np.argwhere(found.maps[0] > 1e-7)
    assert len(at)
    assert (np.abs(at - [12, 3, 9]) <= 1).all()


def test_the_memory_is_that_of_one_batch():
    model = Pointwise().eval()
    explainer = xaicore.Explainer(model)
    explainer(noise(1, 2, 4, 4, 4))  # the layer is found
    model.batches.clear()
    xaicore.sliding(explainer, noise(1, 2, 16, 16, 16), 4, 0, batch_size=8, targets=0)
    assert max(model.batches) <= 8
    assert sum(model.batches) == 64


def test_the_predicted_class_is_that_of_the_mean_output():
    model = Pointwise().eval()
    x = noise(2, 2, 9, 8, 7)
    x[0, :, :4] += 3
    found = xaicore.sliding(xaicore.Explainer(model), x, (3, 8, 7), 0)
    with torch.no_grad():
        outputs = torch.stack([model(x[:, :, i : i + 3]) for i in (0, 3, 6)]).mean(0).numpy()
    np.testing.assert_allclose(found.outputs, outputs, atol=1e-6)
    np.testing.assert_array_equal(found.predicted, outputs.argmax(1))
    np.testing.assert_array_equal(found.targets, outputs.argmax(1))
    assert found.target == "predicted"


def test_a_target_that_every_window_chooses_for_itself_is_refused():
    model = Pointwise().eval()
    with torch.no_grad():
        model.head.weight.copy_(10 * torch.eye(3, 6))
    with pytest.raises(xaicore.InputError, match=r"top 1 chose \[.\] in one window and \[.\] in another: name the"):
        xaicore.sliding(xaicore.Explainer(model), 3 * noise(1, 2, 8, 8, 8), 2, 0, targets=xaicore.targets.TopK(1))


def test_windows_along_wrong_axes_and_dense_outputs_are_refused():
    class Dense(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv3d(1, 2, 3, 1, 1)

        def forward(self, x):
            return self.conv(x)

    explainer = xaicore.Explainer(Dense(), layer="conv")
    with pytest.raises(xaicore.XaicoreError):
        xaicore.sliding(explainer, noise(1, 1, 6, 6, 6), 3, targets=0)

    with pytest.raises(xaicore.InputError, match=r"Say which axes are positions"):
        xaicore.sliding(xaicore.Explainer(Pointwise(last=True).eval()), noise(1, 6, 6, 6, 2), (6, 6, 2), targets=0)


def test_regression_nets_and_pictures_have_windows_too():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1))
    found = xaicore.sliding(xaicore.Explainer(model.eval()), noise(1, 3, 24, 20), 8)
    assert (found.outputs_kind, found.predicted, found.maps.shape) == ("values", None, (1, 24, 20))

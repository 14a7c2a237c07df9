"""The page on volumes, videos and signals runs as it stands there, and shows what it says."""

from pathlib import Path

import numpy as np
import pages
import pytest
import torch
from torch import nn

import xaicore


def net(convolution, pool, channels):
    torch.manual_seed(0)
    body = nn.Sequential(convolution(channels, 4, 3, 2, 1), nn.ReLU(), convolution(4, 6, 3, 1, 1), nn.ReLU())
    return nn.Sequential(body, pool(1), nn.Flatten(), nn.Linear(6, 3)).eval()


def noise(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"xaicore": xaicore, "volumes": noise(2, 1, 6, 8, 10), "videos": noise(1, 3, 6, 8, 10)}
    names |= {"model": net(nn.Conv3d, nn.AdaptiveAvgPool3d, 1), "video_model": net(nn.Conv3d, nn.AdaptiveAvgPool3d, 3)}
    names |= {"signals": noise(2, 3, 40), "signal_model": net(nn.Conv1d, nn.AdaptiveAvgPool1d, 3)}
    names = pages.run("docs/volumes.md", names=names)
    assert set(names["drawn"]) == {"picture", "overlay", "heatmap"}
    assert names["along"]["overlay"].shape == (24, 24, 3)  # ten slices of 6 x 8, three per line
    assert names["every"].shape == (8, 6, 10, 3)
    assert names["heat"].shape == (2, 40)
    assert names["data"][8:12] == b"WEBP"
    assert names["explanation"].maps.shape == (2, 6, 8, 10)  # of windows
    assert {path.name for path in Path("runs").iterdir()} == {"volumes", "videos"}
    assert len(list(Path("runs/videos/animations").iterdir())) == 1


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("axes", [None, "ncthw"])
def test_slices_are_of_the_models_input(last: bool, axes: str | None) -> None:
    """Whatever the order of its axes: a model may take its channels last."""

    class Last(nn.Module):
        def __init__(self, body):
            super().__init__()
            self.body = body

        def forward(self, x):
            return self.body(x.permute(0, 4, 1, 2, 3))

    x = noise(2, 3, 6, 8, 10)
    model = net(nn.Conv3d, nn.AdaptiveAvgPool3d, 3)
    if last:
        explainer = xaicore.Explainer(Last(model), input_axes=axes and "nthwc")
        one = explainer(x.permute(0, 2, 3, 4, 1).contiguous())
    else:
        one = xaicore.Explainer(model, input_axes=axes)(x)
    assert one.positions == ("dhw" if axes is None else "thw")
    expected = np.rint(x.numpy().transpose(0, 2, 3, 4, 1) * 255)
    for m in range(2):
        np.testing.assert_array_equal(one.slices(m)["picture"], expected[m])
        np.testing.assert_array_equal(one.slices(m, 2)["picture"], expected[m].transpose(2, 0, 1, 3))


def test_slices_are_frames_where_a_recurrent_layer_reads_them() -> None:
    class Clip(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.rnn, self.head = nn.Conv3d(3, 4, 3, 1, 1), nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 3)

        def forward(self, x):
            steps = self.conv(x).relu().mean((3, 4)).transpose(1, 2)
            return self.head(self.rnn(steps)[0][:, -1])

    one = xaicore.explain(Clip(), noise(1, 3, 5, 8, 10), layer="conv")
    assert (one.form, one.positions, one.row(0)["views"][4]) == ("volume", "thw", "frame 4")

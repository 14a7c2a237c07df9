"""The demo's network and pictures, and the demo itself as a process."""

from __future__ import annotations

import csv
from pathlib import Path

import demo
import numpy as np
import pytest
from processes import ROOT

import xaicore


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)


def test_model_is_quiet_and_ready(capsys: pytest.CaptureFixture[str]) -> None:
    from examples.efficientnet_lite0 import model

    network = model()
    assert capsys.readouterr() == ("", "")
    assert not any(module.training for module in network.modules())
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_652_008
    found = xaicore.Explainer(network)
    found(np.zeros((1, 3, 224, 224), np.float32))
    assert found.layers == ("_swish",)


@pytest.mark.parametrize("size", [(224, 224), (300, 451), (512, 200), (17, 40)])
def test_preprocess_takes_the_central_square(size: tuple[int, int]) -> None:
    from examples.efficientnet_lite0 import preprocess

    picture = np.zeros((*size, 3), np.uint8)
    side = min(size)
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    picture[top : top + side, left : left + side] = (255, 127, 0)
    picture[top : top + side // 2, left : left + side // 2, 2] = 255
    x, seen = preprocess(picture)
    assert (x.shape, x.dtype, seen.shape, seen.dtype) == ((3, 224, 224), np.float32, (224, 224, 3), np.uint8)
    assert set(np.unique(seen[..., 0])) == {255}
    assert set(np.unique(seen[..., 1])) == {127}
    assert seen[20, 20, 2] == 255
    assert seen[20, 200, 2] == seen[200, 20, 2] == seen[200, 200, 2] == 0
    assert np.array_equal(x, (seen.transpose(2, 0, 1) - 127.0) / 128)


def test_pictures_truth_and_labels(tmp_path: Path) -> None:
    from examples.demo import prepare

    prepare(tmp_path)
    prepare(tmp_path)  # again: nothing changes
    names = {path.name for path in tmp_path.iterdir()}
    pictures = {name for name in names if name.endswith((".jpg", ".png"))}
    assert len(pictures) == 21
    assert names - pictures == {"truth.csv", "labels.txt"}
    labels = (tmp_path / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert len(labels) == 1000
    assert [labels[i] for i in (0, 243, 285, 999)] == ["tench", "bull mastiff", "Egyptian cat", "toilet tissue"]
    rows = list(csv.DictReader((tmp_path / "truth.csv").open()))
    assert {row["file"] for row in rows} == pictures
    assert rows[0] == {"file": "imagenet_00_243.jpg", "class": "243"}
    assert rows[-1] == {"file": "chelsea.png", "class": ""}


def test_a_missing_package_is_named() -> None:
    from examples.demo import package

    with pytest.raises(SystemExit, match=r'^the demo needs the package foolbix; try: pip install "\.\[demo\]"$'):
        package("foolbix")


def test_the_demo_as_a_process(tmp_path: Path) -> None:
    demo.check(demo.run(tmp_path), tmp_path, "efficientnet_lite0", "_swish", "demo")


@pytest.mark.parametrize("method", ["cam", "hirescam", "xgradcam"])
def test_what_the_demo_says_of_networks_with_global_pooling(method: str) -> None:
    """There, at the last layer, these are Grad-CAM."""
    from examples.efficientnet_lite0 import model

    x = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    both = xaicore.Explainer(model()).compare(x, ["gradcam", method])
    assert np.abs(both["gradcam"].heatmaps() - both[method].heatmaps()).max() < 1e-4

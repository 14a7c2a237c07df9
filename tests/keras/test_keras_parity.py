"""One network in two frameworks: the Keras port of the demo's EfficientNet-Lite0, and its maps, beside PyTorch's.

    KERAS_BACKEND=jax python -m pytest tests/keras/test_keras_parity.py

With XAICORE_PARITY_TABLE=FILE, a row for each method is appended to the file: | method | backend | difference |.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
import torch
from click.testing import CliRunner

import xaicore

ROOT = Path(__file__).parents[2]
BACKEND = keras.backend.backend()
CLOSE = 1e-3
FEW = 2
"""Photographs whose maps are compared; the outputs are of all twenty."""
FEW_PASSES = {"activations", "gradients", "weights", "gradients_again"}
METHODS = [one for one in xaicore.METHODS.values() if set(one.asks) <= FEW_PASSES and one.fusion is None]
METHODS = [xaicore.method(one.name, n=4) if one.name == "smoothgradcam++" else one for one in METHODS]
METHODS += [xaicore.METHODS["shapleycam"], xaicore.method("ablationcam", channels=8)]
METHODS += [xaicore.method("scorecam", channels=8), xaicore.method("iscam", channels=2, samples=4)]
"""Those of few passes, and some of many, with few channels each."""
PIXELS = ["gradient", "input-x-gradient", "guided", "deconv", "guided-gradcam"]
"""Those whose maps have the picture's resolution."""


@pytest.fixture(autouse=True, scope="module")
def from_the_root() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        yield


@pytest.fixture(scope="module")
def photos(from_the_root: None) -> tuple[np.ndarray, np.ndarray]:
    """(pictures as Keras takes them, classes)."""
    from examples.demo import labelled
    from examples.efficientnet_lite0_keras import preprocess

    found = labelled()
    pictures = [cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB) for photo in found]
    return np.stack([preprocess(picture)[0] for picture in pictures]), np.array([*found.values()])


@pytest.fixture(scope="module")
def theirs(from_the_root: None) -> torch.nn.Module:
    from examples.efficientnet_lite0 import model

    return model()


@pytest.fixture(scope="module")
def ours(from_the_root: None) -> keras.Model:
    from examples.efficientnet_lite0_keras import model

    return model()


@pytest.fixture(scope="module")
def weights(from_the_root: None) -> dict[str, np.ndarray]:
    from examples.lite0_weights import read_weights

    return read_weights()


@pytest.fixture(scope="module")
def explained(
    photos: tuple[np.ndarray, np.ndarray], theirs: torch.nn.Module, ours: keras.Model
) -> tuple[dict[str, xaicore.Explanation], dict[str, xaicore.Explanation]]:
    """({method: Explanation} of PyTorch, the same of Keras), of the first photographs, at the layer that is found."""
    x, methods = photos[0][:FEW], METHODS
    return (
        xaicore.Explainer(theirs).compare(np.ascontiguousarray(x.transpose(0, 3, 1, 2)), methods),
        xaicore.Explainer(ours).compare(x, methods),
    )


@pytest.fixture(scope="module")
def of_pixels(
    photos: tuple[np.ndarray, np.ndarray], theirs: torch.nn.Module, ours: keras.Model
) -> tuple[dict[str, xaicore.Explanation], dict[str, xaicore.Explanation]]:
    """As `explained`, for maps of the picture's resolution."""
    x = photos[0][:FEW]
    return (
        xaicore.Explainer(theirs).compare(np.ascontiguousarray(x.transpose(0, 3, 1, 2)), PIXELS),
        xaicore.Explainer(ours).compare(x, PIXELS),
    )


def logits(model: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model(torch.from_numpy(x.transpose(0, 3, 1, 2))).numpy()


@pytest.mark.parametrize("folded", [False, True], ids=["normalised", "folded"])
def test_logits_are_pytorchs(photos: tuple[np.ndarray, np.ndarray], theirs: torch.nn.Module, folded: bool) -> None:
    from examples.efficientnet_lite0_keras import model

    x, classes = photos
    network = model(folded)
    outputs = network.predict(x, verbose=0)
    assert outputs.shape == (20, 1000)
    difference = np.abs(outputs - logits(theirs, x)).max()
    print(f"{BACKEND}, {'folded' if folded else 'normalised'}: logits within {difference:.1e}")
    assert difference < CLOSE
    assert (outputs.argmax(axis=1) == classes).sum() == 19


@pytest.mark.parametrize("method", [one.name for one in METHODS])
def test_maps_are_pytorchs(
    explained: tuple[dict[str, xaicore.Explanation], dict[str, xaicore.Explanation]], method: str
) -> None:
    expected, found = (explanations[method] for explanations in explained)
    assert (expected.layer, found.layer) == ("_swish", "head_relu")
    assert found.maps.shape == expected.maps.shape == (FEW, 7, 7)
    assert np.array_equal(found.targets, expected.targets)
    assert np.array_equal(found.empty, expected.empty)
    difference = np.abs(normalised(found.maps) - normalised(expected.maps)).max()
    if table := os.environ.get("XAICORE_PARITY_TABLE"):
        with open(table, "a", encoding="utf-8") as file:
            file.write(f"| {method} | {BACKEND} | {difference:.1e} |\n")
    assert difference < CLOSE


@pytest.mark.parametrize("method", PIXELS)
def test_maps_of_pixels_are_pytorchs(
    of_pixels: tuple[dict[str, xaicore.Explanation], dict[str, xaicore.Explanation]], method: str
) -> None:
    # Rounding puts single ReLU6 units on the other side of zero, or of six. Each changes all pixels that it sees, which
    # at the last blocks are many, by up to 2 % of the maximum. Deconvolution does not look at the forward pass.
    expected, found = (explanations[method] for explanations in of_pixels)
    assert found.maps.shape == expected.maps.shape == (FEW, 224, 224)
    assert np.array_equal(found.targets, expected.targets)
    share = {"gradient": 0.97, "input-x-gradient": 0.97, "deconv": 1}.get(method, 0.99)
    for one, other in zip(found.maps, expected.maps, strict=True):
        difference = np.abs(one - other) / np.abs(other).max()
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.999
        assert (difference < CLOSE).mean() >= share


def normalised(maps: np.ndarray) -> np.ndarray:
    """Each map by its own maximum; one without positive evidence stays zero."""
    peaks = maps.max(axis=(1, 2), keepdims=True)
    return maps / np.where(peaks > 0, peaks, 1)


def test_the_model_is_quiet_and_ready(capfd: pytest.CaptureFixture[str]) -> None:
    from examples.efficientnet_lite0_keras import model

    network = model()
    assert capfd.readouterr() == ("", "")
    assert (network.input_shape, network.output_shape) == ((None, 224, 224, 3), (None, 1000))
    assert sum(int(np.prod(weight.shape)) for weight in network.trainable_weights) == 4_652_008
    names = [layer.name for layer in network.layers]
    assert names[:4] == ["picture", "stem_conv", "stem_norm", "stem_relu"]
    assert {"block3_expand_conv", "block0_depthwise_relu", "block15_project_norm", "block2_add"} < set(names)
    assert names[-5:] == ["head_conv", "head_norm", "head_relu", "head_pool", "logits"]
    assert sum(name.endswith("_norm") for name in names) == 49


def test_folding_leaves_no_normalisation(weights: dict[str, np.ndarray]) -> None:
    from examples.efficientnet_lite0_keras import architecture
    from examples.lite0_weights import port

    network = architecture(folded=True)
    port(network, weights)
    kinds = {type(layer).__name__ for layer in network.layers}
    assert kinds == {"InputLayer", "Conv2D", "DepthwiseConv2D", "ReLU", "Add", "GlobalAveragePooling2D", "Dense"}


def test_keras_json_may_say_channels_first(monkeypatch: pytest.MonkeyPatch) -> None:
    from examples.efficientnet_lite0_keras import architecture

    before = keras.config.image_data_format()
    try:
        keras.config.set_image_data_format("channels_first")
        network = architecture(folded=False)
        assert network.get_layer("head_relu").output.shape == (None, 7, 7, 1280)
        assert network.get_layer("head_pool").output.shape == (None, 1280)
    finally:
        keras.config.set_image_data_format(before)


def test_preprocess_is_pytorchs_with_channels_last() -> None:
    from examples import efficientnet_lite0, efficientnet_lite0_keras

    picture = np.random.default_rng(0).integers(0, 256, (300, 451, 3), np.uint8)
    (x, seen), (expected, same) = (
        module.preprocess(picture) for module in (efficientnet_lite0_keras, efficientnet_lite0)
    )
    assert x.dtype == np.float32
    assert np.array_equal(x.transpose(2, 0, 1), expected)
    assert np.array_equal(seen, same)


@pytest.mark.parametrize("folded", [False, True], ids=["normalised", "folded"])
def test_every_tensor_is_used_exactly_once(
    weights: dict[str, np.ndarray], folded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from examples import lite0_weights
    from examples.efficientnet_lite0_keras import architecture

    assert len(weights) == 49 * 5 + 2
    network = architecture(folded)
    missing = {name: tensor for name, tensor in weights.items() if name != "_blocks.7._bn2.running_var"}
    with pytest.raises(ValueError, match=r"^the weights have no '_blocks\.7\._bn2\.running_var'$"):
        lite0_weights.port(network, missing)
    surplus = {name: np.zeros(3) for name in ("a.weight", "b.weight", "c.weight", "d.weight", "e.weight")}
    with pytest.raises(ValueError, match=r"^no layer takes 'a\.weight' of the weights$"):
        lite0_weights.port(network, {**weights, "a.weight": np.zeros(3)})
    with pytest.raises(ValueError, match=r"^no layer takes 'a\.weight', 'b\.weight', 'c\.weight' and 2 more of the w"):
        lite0_weights.port(network, {**weights, **surplus})
    with pytest.raises(ValueError, match=r"head_conv.*320"):
        kernel = weights["_conv_head.weight"].transpose(1, 0, 2, 3)
        lite0_weights.port(network, {**weights, "_conv_head.weight": kernel})
    with pytest.raises(ValueError, match=rf"{'head_conv' if folded else 'head_norm'}.*\(1,\)"):
        lite0_weights.port(network, {**weights, "_bn1.weight": np.ones(1)})
    monkeypatch.setitem(lite0_weights.OUTER_LAYERS, "head_norm", "_bn0")
    with pytest.raises(ValueError, match=r"^the weights have no '_bn0\.weight' left: two layers take it$"):
        lite0_weights.port(network, weights)


def test_the_script_saves_what_it_has_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from examples import efficientnet_lite0_keras as script

    out = tmp_path / "new" / "lite0.keras"
    done = CliRunner().invoke(script.main, ["--folded", "--out", str(out)])
    assert done.exit_code == 0, done.output
    said = re.fullmatch(r"(.*): logits within (.*) of PyTorch's on (.*), 19 of 20 right\n", done.stdout)
    assert said, done.stdout
    assert (said[1], said[3]) == (str(out), BACKEND)
    assert 0 < float(said[2]) < CLOSE
    before = out.read_bytes()
    monkeypatch.setattr(script, "compare", lambda network: (0.5, 3, 20))
    done = CliRunner().invoke(script.main, ["--out", str(out)])
    assert done.exit_code == 1
    assert f"not saved: logits within 5.0e-01 of PyTorch's on {BACKEND}, 3 of 20 right; expected 1e-03" in done.output
    assert out.read_bytes() == before
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_where_the_script_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from examples import efficientnet_lite0_keras as script

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(script, "compare", lambda network: (0.0, 19, 20))
    for arguments, name in (([], "efficientnet_lite0"), (["--folded"], "efficientnet_lite0_folded")):
        assert CliRunner().invoke(script.main, arguments).exit_code == 0
        assert keras.saving.load_model(f"runs/{name}.keras").name == name
    done = CliRunner().invoke(script.main, ["--out", "lite0.h5"])
    assert done.exit_code == 2
    assert "Invalid value for --out: lite0.h5: expected a name ending in .keras" in done.output
    Path("a-file").touch()
    done = CliRunner().invoke(script.main, ["--out", "a-file/lite0.keras"])
    assert done.exit_code == 1
    assert "cannot write a-file/lite0.keras: " in done.output

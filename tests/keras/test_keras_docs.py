"""The Python of the pages on Keras runs as it stands there."""

import functools

import keras
import numpy as np
import pages
import pytest


def test_the_page_on_keras():
    names = pages.run("docs/keras.md")
    explanation, explainer, x = names["explanation"], names["explainer"], names["x"]
    assert explanation.maps.shape == (4, 4, 3)
    one, other = explanation.maps[0], explanation.maps[1]
    assert one.any() or other.any()
    assert not (one * other).any()  # the ReLUs of a map and of its negative
    assert explainer(x, 1).outputs_kind == "logits"
    assert not any(weight.trainable for weight in names["backbone"].weights)
    np.testing.assert_allclose(explanation.scores.reshape(2, 2).sum(axis=1), 1, rtol=1e-6)
    score = keras.ops.convert_to_numpy(names["old_for_its_kind"](names["two_heads"](names["small"])))
    np.testing.assert_allclose(names["of_score"].scores, score, rtol=1e-4, atol=1e-6)


@pytest.fixture
def quick(request):
    """Pages for every framework run where nothing is compiled; with --thorough, on all three."""
    if keras.backend.backend() != "torch" and not request.config.getoption("--thorough"):
        pytest.skip("runs on torch; on all three with --thorough")


@pytest.mark.usefixtures("quick")
def test_the_first_minute(tmp_path, monkeypatch):
    """With random weights: those of ImageNet would be downloaded."""
    monkeypatch.chdir(tmp_path)
    whole = keras.applications.MobileNetV2
    monkeypatch.setattr(keras.applications, "MobileNetV2", functools.partial(whole, weights=None))
    names = pages.run("docs/start.md", "Keras")
    assert names["explanation"].maps.shape == (1, 7, 7)
    assert names["explanation"].outputs.shape == (1, 1000)
    assert (tmp_path / "runs/chelsea-keras/index.html").stat().st_size > 1000


@pytest.mark.usefixtures("quick")
def test_the_tutorial(tmp_path, monkeypatch):
    """The network learns, and its evidence lies on the scratches."""
    monkeypatch.chdir(tmp_path)
    names = pages.run_notebook("docs/tutorials/keras.ipynb")
    assert names["accuracy"] > 0.9
    assert len(names["course"]) == 6
    assert names["course"][-1] > 0.8
    assert names["result"].energy.value > 4 * names["result"].uniform
    assert names["difference"] < 1e-4
    np.testing.assert_allclose(names["explanation"].scores.reshape(-1, 2).sum(axis=1), 1, rtol=1e-5)

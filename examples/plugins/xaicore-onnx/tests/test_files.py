"""Files and sessions of ONNX Runtime, as users have them: found, explained, refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import xaicore_onnx
from onnx import helper
from test_onnx import SAME, Build, conv_net

import xaicore
from xaicore import testing

NET = testing.ConvNet("softmax")
(PICTURES,) = NET.pictures()
TARGETS = [[0, 3], [1, 2]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    onnx.save(conv_net(NET), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


class TestFiles(testing.ModelSourceTests):
    """The contract of model sources, of one that knows files alone."""

    kit_version = 2
    plugin = xaicore_onnx
    frameworks = ("onnx", "onnxruntime")
    lacks = {  # noqa: RUF012
        "names": "a file holds the whole model",
        "preprocess": "ONNX does not say how pictures are prepared",
    }
    suffix = ".onnx"

    def write(self, file: Path) -> None:
        onnx.save(conv_net(NET), file)


def expected(method: str, layer: str = "relu2") -> np.ndarray:
    """The closed form's maps."""
    explainer = xaicore.Explainer(None, method, layer, testing.ReferenceBackend(NET))
    return explainer(PICTURES, TARGETS).maps


@pytest.mark.parametrize("method", ["cam", "eigencam", "fem", "scorecam", "ablationcam", "reciprocam"])
def test_a_file_a_graph_and_a_session_give_the_maps_of_the_closed_form(file: Path, method: str) -> None:
    session = onnxruntime.InferenceSession(str(file))
    of_bytes = onnxruntime.InferenceSession(file.read_bytes())
    for model in (xaicore.find_model(file).model, session, of_bytes):
        came = xaicore.Explainer(model, method, "relu2")(PICTURES, TARGETS).maps
        np.testing.assert_allclose(came, expected(method), rtol=1e-3, atol=1e-5)
        assert came.max() > 1e-4


def test_what_is_found(file: Path) -> None:
    found = xaicore.find_model(str(file))
    assert (found.title, found.preprocess, found.class_names) == ("model.onnx, ONNX", None, None)
    explainer = xaicore.load(file, method="eigencam")
    explanation = explainer(PICTURES)
    assert (explainer.backend.name, explanation.layer) == ("onnx", "relu2")
    probabilities = NET.answer(NET.forward(PICTURES))
    np.testing.assert_allclose(explanation.scores, probabilities.max(axis=1), rtol=1e-5)


def test_images_one_by_one_where_the_graph_takes_one() -> None:
    made = conv_net(NET)
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    for i, length in enumerate((6, 8), 2):
        made.graph.input[0].type.tensor_type.shape.dim[i].dim_value = length
    explainer = xaicore.Explainer(made, "reciprocam", "relu2")
    assert explainer.backend.picture_size == (6, 8)
    np.testing.assert_allclose(explainer(PICTURES, TARGETS).maps, expected("reciprocam"), rtol=1e-3, atol=1e-5)


def test_pictures_with_the_channels_last() -> None:
    """As converters of TensorFlow write them: a transposition stands before the first convolution."""
    made = Build(("N", 6, 8, 3))
    made.add("Transpose", "turned", ["x0"], perm=[0, 3, 1, 2])
    made.add("Relu", "relu1", [made.conv("conv1", "turned", NET.conv1, NET.bias1, **SAME)])
    made.add("Relu", "relu2", [made.conv("conv2", "relu1", NET.conv2, NET.bias2, **SAME)])
    made.add("ReduceMean", "pool", ["relu2"], axes=[2, 3], keepdims=0)
    model = made.model(made.add("Softmax", "end", [made.dense("dense", "pool", NET.dense, NET.bias)]))
    for method in ("eigencam", "scorecam", "reciprocam"):
        explanation = xaicore.explain(model, PICTURES.transpose(0, 2, 3, 1), targets=TARGETS, method=method)
        assert explanation.layer == "relu2"
        np.testing.assert_allclose(explanation.maps, expected(method), rtol=1e-3, atol=1e-5)


def test_layers_are_called_by_their_nodes_or_tensors() -> None:
    made = conv_net(NET)
    for node, name in zip(made.graph.node, ("a", "b", "c", "d", "", ""), strict=False):
        node.name = name
    backend = xaicore.Explainer(made).backend
    assert [layer.name for layer in backend.layers(PICTURES)][:6] == ["a", "b", "c", "d", "pool", "flat"]
    assert backend.layer_name("relu2") == backend.layer_name("d") == "d"
    of_node, of_tensor = (xaicore.Explainer(made, "eigencam", name)(PICTURES, TARGETS) for name in ("d", "relu2"))
    np.testing.assert_array_equal(of_tensor.maps, of_node.maps)
    np.testing.assert_allclose(of_node.maps, expected("eigencam"), rtol=1e-3, atol=1e-5)


ERRORS: dict[str, Any] = {
    "xaicore.explain(model, x)": (
        "MethodError",
        "method 'gradcam' needs 'gradients', which backend 'onnx' does not offer; methods that it serves: cam, eig",
    ),
    "xaicore.explain(model, x, method='eigencam', layer='relu3')": (
        "LayerError",
        "no layer called 'relu3' in net; nearest names: relu",
    ),
    "xaicore.explain(model, x, method='cam', layer='relu1')": (
        "MethodError",
        "into the outputs. Use method='eigencam', 'scorecam' or 'reciprocam'",
    ),
    "xaicore.explain(model, (x, x), method='eigencam')": (
        "InputError",
        "the model takes the inputs x0, and got 0, 1: pass one array for each",
    ),
    "xaicore.explain(model, x[:0], method='eigencam')": ("InputError", ""),
    "xaicore.explain(model, x, method='eigencam', output='aux')": ("OutputError", "output='aux' is none of the"),
    "xaicore.find_model('nothing.onnx')": ("InputError", "spec='nothing.onnx': no such file (in "),
    "xaicore.find_model('text.onnx')": ("InputError", "spec='text.onnx' is no ONNX file: "),
    "xaicore.find_model('model.onnx', weights='none')": (
        "InputError",
        "weights='none': 'model.onnx' holds its weights",
    ),
    "xaicore.find_model('model.onnx', weights='text.onnx')": ("InputError", "'model.onnx' holds its weights; leave "),
}


@pytest.mark.parametrize("statement", ERRORS)
def test_errors(statement: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    (file.parent / "text.onnx").write_text("no graph")
    kind, text = ERRORS[statement]
    with pytest.raises(xaicore.XaicoreError) as caught:
        eval(statement, {"xaicore": xaicore, "model": onnx.load(file), "x": PICTURES})
    assert type(caught.value).__name__ == kind
    assert text in str(caught.value)


def test_another_number_of_images_than_the_graph_takes() -> None:
    made = conv_net(NET)
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    with pytest.raises(xaicore.InputError, match="3 images for a graph that takes 2 at once: pass a multiple of 2"):
        xaicore.explain(made, NET.pictures(3)[0], method="eigencam")


PREPARE = """
import cv2
def preprocess(picture):
    seen = cv2.resize(picture, (8, 6))
    return (seen / 127.5 - 1).transpose(2, 0, 1), seen
"""


def test_the_command_line_explains_a_file(file: Path) -> None:
    """Without --method, by one that needs no gradients. How pictures are prepared is asked for."""
    folder = file.parent
    (folder / "prepare.py").write_text(PREPARE)
    picture = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    assert cv2.imwrite(str(folder / "cat.png"), picture)
    command = [sys.executable, "-m", "xaicore", "explain", "cat.png", "--model", "model.onnx"]
    asked = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert asked.returncode == 2
    assert "model.onnx does not say how a picture becomes its input." in " ".join(asked.stderr.split())
    command += ["--preprocess", "prepare.py:preprocess", "--out", "runs"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "backend 'onnx' has no gradients: took --method reciprocam" in " ".join(done.stderr.split())
    assert "reciprocam" in (folder / "runs" / "run.json").read_text()
    refused = subprocess.run([*command, "--method", "gradcam"], cwd=folder, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "which backend 'onnx' does not offer" in " ".join(refused.stderr.split())


def test_several_outputs_are_chosen_by_name() -> None:
    made = conv_net(testing.ConvNet())
    made.graph.output.append(helper.make_tensor_value_info("pool", 1, ["N", 7, 1, 1]))
    with pytest.raises(xaicore.OutputError, match="output="):
        xaicore.explain(made, PICTURES, method="eigencam")
    explanation = xaicore.explain(made, PICTURES, method="reciprocam", output="dense", targets=1)
    assert explanation.maps.max() > 0

"""One box of a Keras detector, against its closed form: a dense layer on each cell of the last map."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import xaicore
from xaicore.outputs.detections import overlaps
from xaicore.targets import Box, Boxes, Detector, Yolo
from xaicore_keras.backend import KerasBackend


def detector(classes: int = 3) -> keras.Model:
    """{"boxes": (N, 12, 4) corners in pixels, "classes": (N, 12, classes) logits}."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((24, 32, 3))
    seen = keras.layers.Conv2D(6, 8, 8, activation="relu", name="map")(inputs)
    cells = keras.layers.Reshape((12, 6))(seen)
    scores = keras.layers.Dense(classes, name="scores")(cells)
    sizes = keras.layers.Dense(4, name="sizes")(cells)
    return keras.Model(inputs, {"boxes": keras.ops.abs(sizes) + np.array([0, 0, 5, 5], "float32"), "classes": scores})


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(1).uniform(size=(2, 24, 32, 3)).astype(np.float32)


READ = Detector("boxes", "classes", activation="sigmoid")


@pytest.mark.parametrize("classes", [3, 12])
def test_maps_scores_and_boxes(classes: int, x: np.ndarray) -> None:
    """12 classes are as many as there are boxes."""
    model = detector(classes)
    result = xaicore.explain(model, x, Boxes(2, read=READ), output="classes", layer="map")
    answer = {name: keras.ops.convert_to_numpy(part) for name, part in model(x).items()}
    seen = keras.ops.convert_to_numpy(keras.Model(model.inputs[0], model.get_layer("map").output)(x))
    weights = keras.ops.convert_to_numpy(model.get_layer("scores").kernel)
    p = 1 / (1 + np.exp(-answer["classes"]))
    for m in range(4):
        n, k = divmod(m, 2)
        q = int(np.argsort(-p[n].max(axis=1))[k])
        c = int(p[n, q].argmax())
        assert result.targets[m] == c
        assert result.scores[m] == pytest.approx(p[n, q, c], abs=1e-5)
        assert result.target_box(m) == pytest.approx(answer["boxes"][n, q], abs=1e-4)
        np.testing.assert_allclose(result.maps[m], np.maximum(seen[n] @ weights[:, c] / 12, 0), atol=1e-6)


def test_a_single_tensor(x: np.ndarray) -> None:
    model = detector()
    parts = model.output
    joined = keras.layers.Concatenate()([parts["boxes"], keras.ops.sigmoid(parts["classes"])])
    single = keras.Model(model.inputs[0], joined)
    read = Yolo("xyxy", axis=2, nms=None)
    result = xaicore.explain(single, x, Box(0, read=read), layer="map")
    p = 1 / (1 + np.exp(-keras.ops.convert_to_numpy(model(x)["classes"])))
    assert result.scores == pytest.approx(p.max(axis=(1, 2)), abs=1e-5)
    assert not result.empty.all()


def test_a_method_of_many_passes_follows_the_box(x: np.ndarray) -> None:
    result = xaicore.explain(
        detector(), x, Box(0, read=READ), output="classes", method="rise", progress=False, batch_size=32
    )
    assert result.maps.shape[0] == 2
    assert not result.empty.any()


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("described", [False, True])
def test_a_detector_that_gives_probabilities(activation: str, described: bool, x: np.ndarray) -> None:
    """They are the scores as they are, and their logits are pulled back."""
    plain = detector()
    scores = keras.layers.Activation(activation)(plain.output["classes"])
    model = keras.Model(plain.inputs[0], {"boxes": plain.output["boxes"], "classes": scores})
    read = Detector("boxes", "classes", activation=activation if described else None)
    result = xaicore.explain(model, x, Box(0, read=read), output="classes", layer="map")
    p = keras.ops.convert_to_numpy(model(x)["classes"])
    np.testing.assert_allclose(result.scores, p.max(axis=(1, 2)), rtol=1e-5)
    seen = keras.ops.convert_to_numpy(keras.Model(model.inputs[0], model.get_layer("map").output)(x))
    weights = keras.ops.convert_to_numpy(model.get_layer("scores").kernel)
    for n in range(2):
        c = p[n].max(axis=0).argmax()
        assert result.targets[n] == c
        np.testing.assert_allclose(result.maps[n], np.maximum(seen[n] @ weights[:, c] / 12, 0), atol=1e-6)


def still_there(answer: dict[str, np.ndarray], box: np.ndarray, c: int) -> float:
    """The score of the box that overlaps with this one and has label c; 0 where it is gone."""
    shared = overlaps(box, answer["boxes"])
    likely = np.where(shared >= 0.5, shared / (1 + np.exp(-answer["classes"][:, c])), -1)
    q = int(likely.argmax())
    return 1 / (1 + float(np.exp(-answer["classes"][q, c]))) if likely[q] >= 0 else 0.0


@pytest.mark.parametrize("batch_size", [2, 32])
def test_a_method_that_changes_a_layer_follows_the_box(batch_size: int, x: np.ndarray) -> None:
    """Passes that start at the layer return the boxes, too, which it moves."""
    model = detector()
    options = {"output": "classes", "layer": "map", "progress": False, "batch_size": batch_size}
    result = xaicore.explain(model, x, Boxes(2, read=READ), method="ablationcam", **options)
    seen = keras.ops.convert_to_numpy(keras.Model(model.inputs[0], model.get_layer("map").output)(x))
    rest = keras.Model(model.get_layer("map").output, model.output)
    for m in range(4):
        n, box, c = m // 2, np.array(result.target_box(m)), int(result.targets[m])
        weights = []
        for channel in range(6):
            changed = seen[n : n + 1].copy()
            changed[..., channel] = 0
            answer = {name: keras.ops.convert_to_numpy(part)[0] for name, part in rest(changed).items()}
            weights.append((result.scores[m] - still_there(answer, box, c)) / result.scores[m])
        expected = np.maximum(seen[n] @ np.array(weights), 0)
        np.testing.assert_allclose(result.maps[m], expected, rtol=1e-3, atol=1e-4 * expected.max())
    assert not xaicore.explain(model, x, Box(0, read=READ), method="reciprocam", **options).empty.any()


def test_parts_of_a_pass_that_starts_at_a_layer(x: np.ndarray) -> None:
    model = detector()
    backend = KerasBackend(model, "classes")
    given = backend.capture(x, ["map"]).activations["map"]
    outputs, parts = backend.resume_parts(x, "map", np.repeat(given, 3, axis=0))
    np.testing.assert_allclose(outputs, np.repeat(backend.predict(x), 3, axis=0), rtol=1e-5, atol=1e-6)
    expected = backend.capture(x, [], lambda outputs, kind, parts: outputs[:, None] * 0, parts=True).parts
    assert list(parts) == list(expected) == ["boxes", "classes"]
    for name, part in parts.items():
        np.testing.assert_allclose(np.stack(part), np.repeat(np.stack(expected[name]), 3, axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(backend.resume(x, "map", np.repeat(given, 3, axis=0)), outputs)

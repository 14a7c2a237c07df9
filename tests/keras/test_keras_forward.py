"""Engines by entry point, and Keras' backends that have none: NumPy's for real, others by the same engine on torch."""

from __future__ import annotations

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras_nets import conv_gap_dense, pictures, settle
from processes import environment, python, run_code

import xaicore
import xaicore_keras
from xaicore import BackendError, MethodError, PluginError
from xaicore_keras import running
from xaicore_keras.backend import KerasBackend

HERE = Path(__file__).resolve().parent
METHODS = ("eigencam", "reciprocam", "scorecam", "ablationcam", "cam", "fem")


@pytest.fixture
def forward(monkeypatch):
    """The backend of a model, on the engine of backends without one."""
    monkeypatch.setattr("xaicore_keras.backend.running_engine", xaicore_keras.ForwardEngine)
    return KerasBackend


def scaled_net():
    """As most models of keras.applications begin and end."""
    x = keras.Input((12, 10, 3))
    y = layers.Conv2D(6, 3, padding="same", activation="relu", name="c1")(layers.Rescaling(1 / 255)(x))
    y = layers.DepthwiseConv2D(3, padding="same", name="depth")(layers.BatchNormalization()(y))
    y = layers.Conv2D(5, 3, strides=2, padding="same", activation="relu", name="c2")(y)
    y = layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling2D()(y))
    return settle(keras.Model(x, y), 2)


ON_NUMPY = """
import sys
import keras, numpy as np, xaicore
from keras_state import fingerprint
from xaicore.testing.state import guard

assert keras.backend.backend() == "numpy"
model = keras.saving.load_model(sys.argv[1] + "/net.keras")
x = np.load(sys.argv[1] + "/x.npy")
maps = {}
for method in sys.argv[2:]:
    with guard(fingerprint)(model):
        explanation = xaicore.explain(model, x, [[0, 3]], method=method)
    maps[method] = explanation.maps
np.savez(sys.argv[1] + "/maps.npz", **maps, outputs=explanation.outputs, layer=explanation.layer)
"""


def on_numpy(folder: Path, *methods: str, path: tuple[Path, ...] = ()):
    """{method: maps} of the net that is saved in the folder, and the state of the model left alone."""
    run_code(ON_NUMPY, str(folder), *methods, env=environment(*path, variables={"KERAS_BACKEND": "numpy"}))
    return np.load(folder / "maps.npz")


@pytest.fixture
def saved(tmp_path):
    model, x = scaled_net(), 255 * np.random.default_rng(0).random((2, 12, 10, 3), np.float32)
    model.save(tmp_path / "net.keras")
    np.save(tmp_path / "x.npy", x)
    return model, x


def test_a_model_trained_elsewhere_has_the_same_maps_on_numpy(saved, tmp_path):
    model, x = saved
    came = on_numpy(tmp_path, *METHODS)
    for method in METHODS:
        expected = xaicore.explain(model, x, [[0, 3]], method=method)
        assert expected.maps.max() > 0
        np.testing.assert_allclose(came[method], expected.maps, rtol=1e-4, atol=1e-5 * expected.maps.max())
    np.testing.assert_allclose(came["outputs"], expected.outputs, rtol=1e-5, atol=1e-6)
    assert str(came["layer"]) == expected.layer == "c2"


def test_the_contract_on_numpy():
    """The suite that runs on the other backends, without gradients."""
    suite = str(HERE / "test_keras_kit.py")
    done = python(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", suite, env=environment(variables={"KERAS_BACKEND": "numpy"})
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 40


def install(folder: Path, engine: str, name: str = "numpy", distribution: str = "acme") -> Path:
    """Metadata, as pip would leave them."""
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{running.GROUP}]\n{name} = {engine}\n")
    return folder


def test_an_engine_that_a_package_brings_is_taken(saved, tmp_path):
    model, x = saved
    site = install(tmp_path / "site", "keras_differences:DifferencesEngine")
    came = on_numpy(tmp_path, "gradcam", "layercam", path=(site,))
    for method in ("gradcam", "layercam"):
        expected = xaicore.explain(model, x, [[0, 3]], method=method).maps
        assert expected.max() > 0
        np.testing.assert_allclose(came[method], expected, atol=1e-3 * expected.max())


# What is found without gradients.


def test_methods_of_gradients_are_refused_by_name(forward):
    model = conv_gap_dense()
    explainer = xaicore.Explainer(model, "gradcam", backend=forward(model))
    with pytest.raises(
        MethodError,
        match=r"^method 'gradcam' needs 'gradients', which backend 'keras' does not offer; methods that it serves: "
        "cam, eigencam, random, fem, kpcacam, scorecam, sscam, iscam, ablationcam, reciprocam, rise, rollout, "
        "attention$",
    ):
        explainer(pictures())


def test_a_direction_is_refused_with_what_to_type(forward):
    said = (
        "Keras runs on 'torch', for which no engine with gradients is installed: use a method without gradients, such "
        "as 'eigencam', or choose tensorflow, jax or torch: set KERAS_BACKEND before Keras is imported"
    )
    with pytest.raises(BackendError, match=f"^{said}$"):
        forward(conv_gap_dense()).capture(pictures(), ["relu2"], lambda *_: np.ones((2, 1, 3)))


class Mixed(layers.Layer):
    """Three tokens; the last two mix into each other, and the first one takes from the second."""

    def call(self, tokens):
        a, b, c = tokens[:, :1], tokens[:, 1:2], tokens[:, 2:]
        return ops.concatenate([a + ops.relu(b), b + c, c], axis=1)


def test_the_tokens_on_which_the_output_depends(forward):
    x = keras.Input((3, 4))
    mixed = Mixed(name="mixed")(layers.Dense(4, name="dense")(x))
    model = settle(keras.Model(x, layers.Dense(2, name="end")(mixed[:, 0])))
    facts = forward(model).observe(np.random.default_rng(0).normal(size=(1, 3, 4)).astype(np.float32)).named
    assert facts["mixed"].reached == {1: [True, False, False]}
    assert facts["dense"].reached == {1: [True, True, False]}


def tokens_of(model, count):
    """The model's facts for one picture of so many tokens."""
    x = np.random.default_rng(0).normal(size=(1, count, 2)).astype(np.float32)
    return x, model.observe(x).named


@pytest.mark.parametrize("joined", [False, True])
def test_tokens_are_told_apart_in_groups(forward, joined):
    """Of a hundred; also where the rest of the model joins their rows with one that is made before."""
    x = keras.Input((100, 2))
    rows, counting = layers.LayerNormalization(name="norm")(x), [0, 37, 38, 39, 99]
    some = ops.mean(ops.take(rows, counting, axis=1), axis=1)
    if joined:
        some = ops.concatenate([ops.mean(x, axis=1), some], axis=1)
    model = settle(keras.Model(x, layers.Dense(2)(some)))
    _, facts = tokens_of(forward(model), 100)
    assert [i for i, counts in enumerate(facts["norm"].reached[1]) if counts] == counting


def test_all_of_many_tokens(forward):
    x = keras.Input((100, 2))
    after = layers.Dense(3, name="after")(layers.LayerNormalization(name="norm")(x))
    model = settle(keras.Model(x, layers.Dense(2)(ops.mean(after, axis=1))))
    _, facts = tokens_of(forward(model), 100)
    assert facts["after"].reached == facts["norm"].reached == {1: [True] * 100}


def test_signals_with_the_channels_first(forward):
    """Rows along axis 1 are channels there, and say nothing of the steps."""
    x = keras.Input((2, 40))
    y = layers.ReLU(name="relu")(layers.Conv1D(4, 3, data_format="channels_first", name="conv")(x))
    model = settle(keras.Model(x, layers.Dense(2)(layers.GlobalAveragePooling1D(data_format="channels_first")(y))))
    signal = np.random.default_rng(0).normal(size=(1, 2, 40)).astype(np.float32)
    found = xaicore.Explainer(model, "eigencam", backend=forward(model))(signal)
    assert (found.layer, found.maps.shape) == ("relu", (1, 38))


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_a_sure_prediction_hides_no_token(forward, link):
    """Whose probabilities are 1 and 0 exactly, whatever is changed a little."""
    x = keras.Input((9, 2))
    rows = layers.LayerNormalization(name="norm")(x)
    model = settle(keras.Model(x, layers.Dense(2, activation=link, name="end")(rows[:, 0])))
    kernel, _ = model.get_layer("end").get_weights()
    model.get_layer("end").set_weights([kernel, np.float32([1e3, 3e3])])
    x, facts = tokens_of(forward(model), 9)
    assert set(np.ravel(ops.convert_to_numpy(model(x)))) <= {0.0, 1.0}
    assert facts["norm"].reached == {1: [True, *[False] * 8]}


def test_which_inputs_a_layer_reads(forward):
    a, b = keras.Input((6, 9, 1), name="a"), keras.Input((6, 9, 1), name="b")
    of_a, of_b = layers.Conv2D(2, 3, name="of_a")(a), layers.Conv2D(2, 3, name="of_b")(b)
    both = layers.Add(name="both")([of_a, of_b])
    model = settle(keras.Model([a, b], layers.Dense(2)(layers.GlobalAveragePooling2D()(both))))
    facts = forward(model).observe([pictures(), pictures()]).named
    assert [facts[name].reads for name in ("of_a", "of_b", "both")] == [(0,), (1,), (0, 1)]


def picture_and_words():
    """Words are looked up, and joined with a picture."""
    picture, words = keras.Input((6, 9, 1)), keras.Input((4,), dtype="int32")
    a = layers.Conv2D(2, 3, name="conv")(picture)
    b = layers.Embedding(7, 3, name="embedding")(words)
    means = [ops.mean(a, axis=(1, 2)), ops.mean(b, axis=1)]
    return settle(keras.Model([picture, words], layers.Dense(2, name="end")(layers.Concatenate()(means))))


def test_which_layers_read_words(forward):
    facts = forward(picture_and_words()).observe([pictures(), np.int32([[3, 1, 3, 0]] * 2)])
    assert [facts.named[name].reads for name in ("conv", "embedding", "end")] == [(0,), (1,), (0, 1)]
    assert all(layer.takes_weights == () for layer in facts.layers)
    assert facts.inputs[0].reader_shape == (1, 6, 9, 1)


def test_nothing_is_known_of_words_that_are_all_the_same(forward):
    facts = forward(picture_and_words()).observe([pictures(), np.full((2, 4), 3, np.int32)])
    assert [facts.named[name].reads for name in ("conv", "embedding", "end")] == [None] * 3


class Noisy(layers.Layer):
    """Draws in every pass."""

    def call(self, x):
        return x + float(np.random.default_rng().normal())


def test_nothing_is_known_of_a_model_that_draws(forward):
    a, b = keras.Input((6, 9, 1)), keras.Input((6, 9, 1))
    conv = layers.Conv2D(2, 3, name="conv")(Noisy()(a)) + layers.Conv2D(2, 3)(b)
    model = settle(keras.Model([a, b], layers.Dense(2)(layers.GlobalAveragePooling2D()(conv))))
    assert forward(model).observe([pictures(), pictures()]).named["conv"].reads is None


class Ends(keras.Model):
    """Ends in a function of its own call, which no layer shows."""

    def __init__(self, end):
        super().__init__()
        self.conv, self.dense, self.end = layers.Conv2D(2, 3), layers.Dense(3), end

    def call(self, x):
        return self.end(self.dense(ops.mean(self.conv(x), axis=(1, 2))))


@pytest.mark.parametrize(("end", "link"), [(ops.softmax, "softmax"), (ops.sigmoid, "sigmoid"), (ops.relu, None)])
def test_what_a_model_ends_in(forward, end, link):
    assert forward(Ends(end)).observe(pictures()).link == link


class Writes(layers.Layer):
    """Changes what it is given."""

    def call(self, x):
        x += 1
        return x


def test_a_model_that_writes_into_its_input_leaves_the_callers_alone(forward):
    x = keras.Input((6, 9, 1))
    y = layers.Conv2D(3, 3, activation="relu", name="conv")(Writes()(x))
    model = settle(keras.Model(x, layers.Dense(2)(layers.GlobalAveragePooling2D()(y))))
    given = ops.convert_to_tensor(pictures())
    found = xaicore.Explainer(model, "reciprocam", backend=forward(model))(given)
    np.testing.assert_array_equal(ops.convert_to_numpy(given), pictures())
    np.testing.assert_allclose(found.maps, xaicore.explain(model, pictures(), method="reciprocam").maps, atol=1e-6)


# Which engine runs.


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ("absent_module:Engine", "does not import: ModuleNotFoundError: No module named 'absent_module'"),
        ("json:dumps", r"is <function dumps at \w+>; expected a subclass of xaicore_keras.Engine, as 'module:Class'"),
        ("broken_engines:Later", "speaks api_version 2, this xaicore speaks 1: upgrade xaicore; try: pip .* xaicore"),
        (
            "broken_engines:Unfinished",
            "cannot be made: Can't instantiate abstract class Unfinished .*; expected a class without arguments",
        ),
    ],
)
def test_an_engine_that_does_not_work_is_named(monkeypatch, tmp_path, engine, said):
    (tmp_path / "broken_engines.py").write_text(
        "import xaicore_keras\n"
        "class Later(xaicore_keras.ForwardEngine):\n    api_version = 2\n"
        "class Unfinished(xaicore_keras.Engine):\n    pass\n"
    )
    monkeypatch.syspath_prepend(install(tmp_path, engine, "exotic"))
    monkeypatch.setattr(keras.backend, "backend", lambda: "exotic")
    with pytest.raises(PluginError, match=f"^Keras' engine 'exotic' from acme 1.0 {said}$"):
        running.running_engine()


def test_a_name_belongs_to_one_package(monkeypatch, tmp_path):
    for name in ("acme", "zoo"):
        install(tmp_path, "keras_differences:DifferencesEngine", "exotic", name)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(keras.backend, "backend", lambda: "exotic")
    owners = "(acme 1.0 and zoo 1.0|zoo 1.0 and acme 1.0)"
    with pytest.raises(PluginError, match=f"^Keras' engine 'exotic' is claimed by {owners}: uninstall all but one"):
        running.running_engine()


def test_a_backend_without_an_engine_runs_forward(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "exotic")
    assert type(running.running_engine()) is xaicore_keras.ForwardEngine


def test_metadata_of_an_older_installation_lack_no_engine(monkeypatch):
    monkeypatch.setattr(running, "entry_points", lambda **_: ())
    assert type(running.running_engine()).__module__ == f"xaicore_keras.engines.{keras.backend.backend()}"

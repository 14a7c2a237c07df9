"""Models of keras.applications by name, and models and weights in files."""

import json
import re
import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

import xaicore
from xaicore import BackendError, InputError, find_model
from xaicore.models import download

PICTURE = np.random.default_rng(0).integers(0, 256, (100, 140, 3), np.uint8)
NET = """
import keras

def build():
    return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="conv"), keras.layers.Flatten(),
                             keras.layers.Dense(2, name="dense")])

def deeper():
    net = build()
    return keras.Sequential([keras.Input((8, 8, 3)), *net.layers, keras.layers.Dense(2, name="more")])

def unbuilt():
    return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2)])

def preprocess(picture):
    return picture[:8, :8] / 255
"""
SEEDED = "keras.layers.Dropout(0.5), keras.layers.Dropout(0.5), keras.layers.Flatten(),"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder of its own for downloads, and a network that fails at once."""

    def refuse(*arguments, **options):
        raise OSError("no network")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(download.socket, "create_connection", refuse)
    monkeypatch.setattr(download.urllib.request, "getproxies", dict)
    monkeypatch.setattr(keras.src.utils.file_utils, "urlretrieve", refuse)
    monkeypatch.setattr(keras.src.backend.config, "_KERAS_DIR", str(tmp_path / "home"))
    Path("home", "models").mkdir(parents=True)
    Path("net.py").write_text(NET)
    return tmp_path


def same_weights(model, other):
    return all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights(), strict=True))


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="the net takes seconds to build")
def test_an_application_with_weights_of_the_cache():
    names = {str(i): [f"n{i:08}", f"class_{i}"] for i in range(1000)}
    Path("home", "models", "imagenet_class_index.json").write_text(json.dumps(names))
    trained = keras.applications.MobileNetV2(weights=None)
    trained.save_weights("trained.weights.h5")
    Path("trained.weights.h5").rename(
        Path("home", "models", "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5")
    )
    with pytest.MonkeyPatch.context() as patch:
        # The cached file is of another format than the published one: only its name matters here.
        patch.setattr(keras.Model, "load_weights", lambda self, path: self.set_weights(trained.get_weights()))
        found = find_model("keras/mobilenetv2")
    assert (found.title, found.is_pretrained) == ("MobileNetV2, keras.applications, weights imagenet", True)
    assert (len(found.class_names), found.class_names[3]) == (1000, "class 3")
    assert same_weights(found.model, trained)
    x, seen = found.preprocess(PICTURE)
    assert np.array_equal(seen, cv2.resize(PICTURE[:, 20:120], (224, 224), interpolation=cv2.INTER_CUBIC))
    assert np.allclose(x, seen / 127.5 - 1, atol=1e-6)
    assert x.dtype == np.float32
    assert str(found.preprocess) == "keras.applications.mobilenet_v2:preprocess_input, 224 x 224"


@pytest.mark.parametrize(
    ("name", "scaled"),
    [
        ("EfficientNetV2B0", lambda seen: seen),
        ("MobileNetV3Small", lambda seen: seen),
        ("ResNet50", lambda seen: seen[..., ::-1] - [103.939, 116.779, 123.68]),
        ("DenseNet121", lambda seen: (seen / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
    ],
)
def test_each_application_has_the_preparation_of_its_module(name, scaled, monkeypatch):
    """The nets are not built: they take most of a minute."""
    import importlib

    module = importlib.import_module(getattr(keras.applications, name).__module__)

    def build(weights=None):
        assert weights is None
        return keras.Sequential([keras.Input((32, 48, 3)), keras.layers.Flatten()])

    build.__module__ = module.__name__
    monkeypatch.setattr(keras.applications, name, build)
    found = find_model(f"keras/{name}", weights="none")
    assert (found.title, found.class_names, found.is_pretrained) == (
        f"{name}, keras.applications, random weights",
        None,
        False,
    )
    x, seen = found.preprocess(PICTURE)
    assert seen.shape == (32, 48, 3)
    assert np.allclose(x, scaled(np.float32(seen)), atol=1e-4)


def test_pictures_are_laid_out_as_keras_has_them(monkeypatch):
    def build(weights=None):
        return keras.Sequential([keras.Input((3, 32, 48)), keras.layers.Flatten()])

    build.__module__ = keras.applications.ResNet50.__module__
    monkeypatch.setattr(keras.applications, "ResNet50", build)
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        x, seen = find_model("keras/ResNet50", weights="none").preprocess(PICTURE)
    finally:
        keras.config.set_image_data_format(before)
    assert seen.shape == (32, 48, 3)
    assert np.allclose(x, (seen[..., ::-1] - [103.939, 116.779, 123.68]).transpose(2, 0, 1), atol=1e-4)


def test_an_application_that_cannot_be_had(monkeypatch):
    def build(weights=None):
        keras.utils.get_file("net.h5", "https://storage.googleapis.com/net.h5", cache_subdir="models")

    monkeypatch.setattr(keras.applications, "MobileNetV2", build)
    with pytest.raises(InputError, match=r"keras has no model 'MobilNetV2'; did you mean 'keras/MobileNetV2'"):
        find_model("keras/MobilNetV2")
    with pytest.raises(InputError, match=r"no such file, and Keras' weights of this model are imagenet"):
        find_model("keras/MobileNetV2", weights="gone.weights.h5")
    with pytest.raises(
        BackendError, match=r"^the weights of 'keras/MobileNetV2' cannot be downloaded from https://"
    ) as no:
        find_model("keras/MobileNetV2")
    assert str(Path("home", "models")) in str(no.value)
    assert str(no.value).endswith("or pass weights='none' for random weights")


def test_names_that_are_missing_are_reported(monkeypatch):
    def build(weights=None):
        return keras.Sequential([keras.Input((32, 48, 3)), keras.layers.Flatten()])

    build.__module__ = keras.applications.MobileNetV2.__module__
    monkeypatch.setattr(keras.applications, "MobileNetV2", build)
    with pytest.warns(
        RuntimeWarning, match=r"^the names of ImageNet's classes cannot be downloaded from .*index\.json"
    ):
        assert find_model("keras/MobileNetV2").class_names is None


def test_an_application_with_weights_for_other_classes(monkeypatch):
    def build(weights=None, classes=1000):
        layers = [keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(classes)]
        return keras.Sequential([keras.Input((32, 48, 3)), *layers])

    build.__module__ = keras.applications.MobileNetV2.__module__
    monkeypatch.setattr(keras.applications, "MobileNetV2", build)
    trained = build(classes=3)
    trained.save_weights("best.weights.h5")
    found = find_model("keras/MobileNetV2", weights="best.weights.h5")
    assert same_weights(found.model, trained)
    assert found.model.output_shape == (None, 3)
    assert found.title == "MobileNetV2, keras.applications, weights best.weights.h5"


def test_weights_for_a_model_of_code(here):
    sys.modules.pop("net", None)
    trained = find_model("net.py:build").model
    trained.save_weights("best.weights.h5")
    found = find_model("net.py:build", weights="best.weights.h5")
    assert same_weights(found.model, trained)
    assert (found.title, found.is_pretrained) == ("net.py:build, weights best.weights.h5", True)
    assert found.preprocess.__name__ == "preprocess"
    with pytest.raises(InputError, match=r"does not fit '\w+': missing in the file: dense_1/0, dense_1/1$"):
        find_model("net.py:deeper", weights="best.weights.h5")
    find_model("net.py:deeper").model.save_weights("deeper.weights.h5")
    with pytest.raises(InputError, match=r"does not fit '\w+': not in the model: dense_1/0, dense_1/1$"):
        find_model("net.py:build", weights="deeper.weights.h5")
    with pytest.raises(
        InputError, match=r"has no weights yet to load them into; build it in the function that makes it,"
    ):
        find_model("net.py:unbuilt", weights="best.weights.h5")
    Path("bad.weights.h5").write_text("no weights")
    with pytest.raises(InputError, match=r"^weights='bad\.weights\.h5' is no HDF5 file: "):
        find_model("net.py:build", weights="bad.weights.h5")


def test_weights_in_a_file_of_a_whole_model():
    """Keras itself takes what fits from such a file, and ignores the rest."""
    sys.modules.pop("net", None)
    deeper = find_model("net.py:deeper").model
    deeper.compile("sgd", "mse")
    deeper.save("deeper.keras")
    assert same_weights(find_model("net.py:deeper", weights="deeper.keras").model, deeper)
    with pytest.raises(InputError, match=r"does not fit '\w+': not in the model: dense_1/0, dense_1/1$"):
        find_model("net.py:build", weights="deeper.keras")
    # Variables of the random state are in no file.
    Path("drop.py").write_text(NET.replace("keras.layers.Flatten(),", SEEDED))
    with pytest.raises(InputError, match=r"does not fit '\w+': not in the model: dense_1/0, dense_1/1$"):
        find_model("drop.py:build", weights="deeper.keras")
    Path("bad.keras").write_text("no weights")
    with pytest.raises(InputError, match=r"^weights='bad\.keras' is no file of model\.save\(\): File is not a zip"):
        find_model("net.py:build", weights="bad.keras")
    with pytest.raises(InputError, match=r"^weights='none\.keras': no such file \(in "):
        find_model("deeper.keras", weights="none.keras")


def test_a_model_of_code_that_rescales_pixels_says_so():
    Path("scaled.py").write_text(
        NET.replace("keras.Input((8, 8, 3)),", "keras.Input((8, 8, 3)), keras.layers.Rescaling(1 / 255),")
    )
    Path("bare.py").write_text(Path("scaled.py").read_text().partition("def preprocess")[0])
    assert find_model("scaled.py:build").preprocess.__name__ == "preprocess"
    found = find_model("bare.py:build")
    x, seen = found.preprocess(PICTURE)
    assert (found.title, found.is_pretrained) == ("bare.py:build", None)
    assert np.array_equal(seen, cv2.resize(PICTURE[:, 20:120], (8, 8), interpolation=cv2.INTER_AREA))
    assert np.array_equal(x, np.float32(seen))
    found.model.save_weights("bare.weights.h5")
    assert np.array_equal(find_model("bare.py:build", weights="bare.weights.h5").preprocess(PICTURE)[0], x)


def test_the_preparation_that_a_message_offers_has_the_models_size():
    """Typed as it is, it works."""
    net = keras.Sequential([keras.Input((20, 24, 3)), keras.layers.Conv2D(4, 3), keras.layers.GlobalMaxPooling2D()])
    net.save("best.keras")
    cv2.imwrite("a.png", PICTURE[..., ::-1])
    with pytest.raises(InputError, match=r"nothing says how this model's pictures are prepared") as unprepared:
        xaicore.load("best.keras")("a.png")
    code = re.findall("`(.*?)`", str(unprepared.value))
    assert code[-1].startswith("def preprocess(picture): seen = cv2.resize(picture, (24, 20)); return ")
    named = {}
    exec("\n".join(code), named)
    found = xaicore.load("best.keras", preprocess=named["preprocess"])("a.png")
    assert np.array_equal(found.picture(0), cv2.resize(PICTURE, (24, 20)))
    any_size = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3)])
    with pytest.raises(InputError, match=r"cv2\.resize\(picture, \(224, 224\)\); return seen / 127\.5 - 1, seen`"):
        xaicore.Explainer(any_size)("a.png")


def test_weights_of_another_shape():
    shape = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(5)]
    )
    shape.save_weights("best.weights.h5")
    with pytest.raises(InputError) as refused:
        find_model("net.py:build", weights="best.weights.h5")
    assert str(refused.value).endswith(": of another shape: dense/0 144x5 instead of 144x2, dense/1 5 instead of 2")


def test_a_file_of_a_whole_model():
    """A model that rescales pixels itself says how pictures become its input; any other does not."""
    net = keras.Sequential(
        [keras.Input((20, 24, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3, activation="relu"),
         keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation="softmax")], name="pets"
    )  # fmt: skip
    net.save("best.keras")
    found = find_model("./best.keras")
    assert same_weights(found.model, net)
    assert (found.title, found.class_names) == ("./best.keras, Sequential 'pets', its own weights", None)
    x, seen = found.preprocess(PICTURE)
    assert np.array_equal(x, np.float32(seen))
    assert np.array_equal(seen, cv2.resize(PICTURE[:, 10:130], (24, 20), interpolation=cv2.INTER_AREA))
    explanation = xaicore.explain(found.model, x, images=seen)
    probabilities = keras.ops.convert_to_numpy(net(x[None]))[0]
    assert np.allclose(explanation.scores, probabilities.max(), atol=1e-5)
    cv2.imwrite("a.png", PICTURE[..., ::-1])
    of_file = xaicore.load("best.keras")("a.png")
    assert np.array_equal(of_file.maps, explanation.maps)
    assert np.array_equal(of_file.picture(0), seen)
    keras.Sequential([keras.Input((20, 24, 3)), keras.layers.Rescaling(2.0), keras.layers.Flatten()]).save(
        "twice.keras"
    )
    assert find_model("twice.keras").preprocess is None
    find_model("net.py:build").model.save("plain.keras")
    assert find_model("plain.keras").preprocess is None
    with pytest.raises(InputError, match=r"^spec='best\.keras' is a file of a trained model: weights='none' is for"):
        find_model("best.keras", weights="none")


def test_files_that_hold_no_model():
    find_model("net.py:build").model.save_weights("best.weights.h5")
    with pytest.raises(
        InputError, match=r"^spec='best\.weights\.h5' holds weights alone, not how the model computes: pass"
    ):
        find_model("best.weights.h5")
    Path("bad.keras").write_text("no model")
    with pytest.raises(InputError, match=r"^spec='bad\.keras' is no file of model\.save\(\): expected a zip archive$"):
        find_model("bad.keras")
    Path("bad.h5").write_text("no model")
    with pytest.raises(InputError, match=r"^spec='bad\.h5' is no HDF5 file: "):
        find_model("bad.h5")


def test_code_in_a_file_runs_only_where_it_is_trusted():
    net = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Lambda(lambda x: x * 2), keras.layers.Flatten()])
    net.save("best.keras")
    with pytest.raises(InputError, match=r"holds Python code, such as that of a Lambda layer.*add trust=True$"):
        find_model("best.keras")
    assert len(find_model("best.keras", trust=True).model.layers) == 2


class Twice(keras.layers.Layer):
    def call(self, x):
        return 2 * x


def test_a_layer_of_ones_own_needs_its_code():
    keras.Sequential([keras.Input((8, 8, 3)), Twice(), keras.layers.Flatten()]).save("best.keras")
    with pytest.raises(
        InputError, match=r"cannot be read: .*Twice.*Where it has layers of your own, write a function that"
    ):
        find_model("best.keras")

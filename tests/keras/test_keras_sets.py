"""Data sets of Keras and TensorFlow as sources of `explain_dataset`."""

import importlib

import keras
import numpy as np
import pytest
from keras import layers
from recorder import Recorder

import xaicore

parquet = pytest.importorskip("pyarrow.parquet")

COUNT, CLASSES = 7, 3
X = np.random.default_rng(0).random((COUNT, 8, 8, 1), dtype=np.float32)
Y = np.arange(COUNT) % CLASSES


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, number):
        chosen = slice(3 * number, 3 * number + 3)
        return X[chosen], Y[chosen]


def rows(out):
    return [row for part in sorted((out / "parts").glob("*.parquet")) for row in parquet.read_table(part).to_pylist()]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    net = [layers.Conv2D(4, 3, padding="same", activation="relu", name="conv"), layers.GlobalAveragePooling2D()]
    return keras.Sequential([keras.Input((8, 8, 1)), *net, layers.Dense(CLASSES)])


def run(model, source, out):
    return xaicore.explain_dataset(model, source, out, layer="conv", shard_size=4, batch_size=2, kind="logits")


def assert_right(model, found):
    assert [row["truth"] for row in found] == [[label] for label in Y.tolist()]
    maps = xaicore.Explainer(model, layer="conv", kind="logits")(X).maps
    for row, expected in zip(found, maps, strict=True):
        got = np.array(row["map"], np.float32).reshape(row["map_shape"]) * row["maximum"]
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-6)


def test_batches_of_a_py_dataset(tmp_path, model):
    run(model, Batches(), tmp_path)
    assert_right(model, rows(tmp_path))


def test_a_dataset_of_tensorflow(tmp_path, model):
    tf = pytest.importorskip("tensorflow")
    pairs = tf.data.Dataset.from_tensor_slices((X, Y))
    for name, source in {
        "batches": pairs.batch(3),
        "singles": pairs,
        "dicts": pairs.map(lambda x, y: {"image": x, "label": y}).batch(4),
    }.items():
        run(model, source, tmp_path / name)
        assert_right(model, rows(tmp_path / name))
    with pytest.raises(xaicore.InputError, match="is another one each time the source is read"):
        run(model, pairs.shuffle(COUNT), tmp_path / "shuffled")
    with pytest.raises(xaicore.InputError, match=r"without \.repeat\(\)"):
        run(model, pairs.repeat(), tmp_path / "endless")


class Pairs(keras.utils.PyDataset):
    """Batches of two inputs, in the form that the model takes."""

    def __init__(self, form):
        super().__init__()
        self.form = form

    def __len__(self):
        return 3

    def __getitem__(self, number):
        chosen = slice(3 * number, 3 * number + 3)
        return self.form(X[chosen], META[chosen]), Y[chosen]


META = np.random.default_rng(1).random((COUNT, 2), dtype=np.float32)
FORMS = {
    "list": lambda image, meta: [image, meta],
    "tuple": lambda image, meta: (image, meta),
    "dict": lambda image, meta: {"image": image, "meta": meta},
}


@pytest.fixture(scope="module")
def of_two():
    keras.utils.set_random_seed(0)
    image, meta = keras.Input((8, 8, 1), name="image"), keras.Input((2,), name="meta")
    found = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(image)
    found = layers.Concatenate()([layers.GlobalAveragePooling2D()(found), meta])
    return keras.Model({"image": image, "meta": meta}, layers.Dense(CLASSES)(found)), keras.Model(
        [image, meta], layers.Dense(CLASSES)(found)
    )


@pytest.mark.parametrize("form", FORMS)
def test_inputs_of_a_model_of_two_are_explained_as_they_are_given(tmp_path, of_two, form):
    schema = pytest.importorskip("xaicore.dataset.schema")
    model = of_two[form != "dict"]
    options = {"layer": "conv", "kind": "logits"}
    table = xaicore.explain_dataset(model, Pairs(FORMS[form]), tmp_path, batch_size=COUNT, **options)
    expected = xaicore.Explainer(model, **options)(FORMS[form](X, META), truth=Y)
    rows = importlib.import_module("xaicore.dataset.rows").rows_of(expected)
    assert table.to_arrow(list(schema.COLUMNS)).to_pylist() == rows.to_pylist()


def test_two_inputs_of_a_dataset_of_tensorflow(tmp_path, of_two):
    tf = pytest.importorskip("tensorflow")
    for form in ("tuple", "dict"):
        model = of_two[form != "dict"]
        pairs = tf.data.Dataset.from_tensor_slices((FORMS[form](X, META), Y))
        expected = xaicore.Explainer(model, layer="conv", kind="logits")(FORMS[form](X, META)).maps
        for name, source in {"batches": pairs.batch(3), "singles": pairs}.items():
            run(model, source, tmp_path / form / name)
            found = rows(tmp_path / form / name)
            assert [row["truth"] for row in found] == [[label] for label in Y.tolist()]
            for row, whole in zip(found, expected, strict=True):
                got = np.array(row["map"], np.float32).reshape(row["map_shape"]) * row["maximum"]
                np.testing.assert_allclose(got, whole, rtol=1e-3, atol=1e-6)


def worst_of(model, pool):
    options = {"layer": "conv", "kind": "logits", "batch_size": 2, "loggers": [Recorder()], "beside": False}
    with xaicore.Monitor(model, X[:1], worst=COUNT, pool=pool, **options) as monitor:
        _, found = monitor.step(0)
    return found


def test_a_pool_of_a_monitor_has_the_same_elements(model):
    outputs = keras.ops.convert_to_numpy(model(X))
    p = np.exp(outputs - outputs.max(1, keepdims=True))
    order = np.argsort((p / p.sum(1, keepdims=True))[range(COUNT), Y], kind="stable")
    pools = {"batches": Batches()}
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        pairs = tf.data.Dataset.from_tensor_slices((X, Y))
        pools |= {"singles": pairs, "batches of tensorflow": pairs.batch(3), "shuffled": pairs.batch(3).shuffle(3)}
    for name, pool in pools.items():
        worst = worst_of(model, pool)
        assert worst.truth.tolist() == Y[order].tolist(), name
        if name != "shuffled":
            assert worst.ids == tuple(map(str, order)), name

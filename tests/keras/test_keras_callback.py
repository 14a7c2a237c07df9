"""Training with the callback is the training without it, bit for bit; what it logs is the model of that moment."""

import collections
import contextlib
import functools
import gc
import json
import random
import sys
import threading
import warnings
import weakref
from itertools import count, pairwise
from types import SimpleNamespace

import keras
import numpy as np
import pages
import pytest
from keras import layers
from keras.src.backend.common import global_state
from keras_nets import BACKEND
from keras_state import random_state, variables
from recorder import Recorder
from toynet import ToyBackend, ToyNet

import xaicore
from xaicore.testing.state import bits
from xaicore_keras import HeatmapCallback, cam_model
from xaicore_keras.traces import traces_of

EPOCHS, BATCHES, CLASSES = 3, 3, 3
NAMES = ("ant", "bee", "cat")
RNG = np.random.default_rng(5)
WATCHED = {"x": RNG.normal(size=(4, 16, 12, 3)).astype("float32"), "truth": np.arange(4) % CLASSES}


class Pictures(keras.utils.PyDataset):
    """Three batches of four, augmented anew each time from the random streams of Python and NumPy."""

    def __init__(self):
        super().__init__()
        rng = np.random.default_rng(3)
        self.y = np.arange(4 * BATCHES) % CLASSES
        self.x = rng.normal(size=(len(self.y), 16, 12, 3)).astype("float32")
        self.x[range(len(self.y)), :8, :6, self.y] += 2

    def __len__(self):
        return BATCHES

    def __getitem__(self, at):
        part = slice(4 * at, 4 * at + 4)
        x = np.roll(self.x[part], int(4 * random.random()), 1) + 0.1 * np.random.normal(size=(4, 1, 1, 3))
        return x.astype("float32"), self.y[part]


# Nets with augmentation, dropout, a BatchNormalization that learns and one that is frozen.


def parts(built=True, augmented=True):
    frozen = layers.BatchNormalization(name="frozen")
    frozen.trainable = False
    return [
        *([keras.Input((16, 12, 3))] if built else []),
        *([layers.RandomFlip("horizontal"), layers.RandomTranslation(0.1, 0.1)] if augmented else []),
        layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
        layers.BatchNormalization(name="learning"),
        layers.Conv2D(5, 3, padding="same"),
        frozen,
        layers.ReLU(name="last"),
        layers.GlobalAveragePooling2D(),
        layers.Dropout(0.3),
        layers.Dense(CLASSES, name="dense"),
    ]


def chain(x, *rest):
    return keras.Model(x, functools.reduce(lambda y, layer: layer(y), rest, x), name="chain")


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.parts = parts(built=False)

    def call(self, x):
        return functools.reduce(lambda y, layer: layer(y), self.parts, x)


def on_a_frozen_backbone():
    x, *rest = parts(augmented=False)
    backbone = chain(x, *rest[:-3])
    backbone.trainable = False
    hidden = layers.Dense(4, activation="relu", name="hidden")
    return keras.Sequential([x, backbone, layers.Flatten(), hidden, layers.Dropout(0.3), rest[-1]])


NETS = {
    "functional": lambda: chain(*parts()),
    "sequential": lambda: keras.Sequential(parts()),
    "sequential, not built": lambda: keras.Sequential(parts(built=False)),
    "subclassed, not built": Subclassed,
    "frozen backbone": on_a_frozen_backbone,
    "cam": lambda: cam_model(chain(*parts(augmented=False)), CLASSES),
}


def tiny():
    """For what is not about bits."""
    x = keras.Input((6, 5, 1))
    return keras.Model(x, layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3)(x))))


TINY = {"x": WATCHED["x"][:2, :6, :5, :1], "truth": [0, 2]}
TINY_DATA = (RNG.normal(size=(12, 6, 5, 1)).astype("float32"), np.arange(12) % CLASSES)


def make(net, **compiled):
    """The model, compiled; the same one each time."""
    global_state.set_global_attribute("object_name_uids", collections.defaultdict(int))
    keras.utils.set_random_seed(7)
    model = net()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=net is not NETS["cam"])
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=loss, metrics=["accuracy"], **compiled)
    return model


def fit(model, callbacks=None, data=None, **options):
    """Three epochs, with validation."""
    options = {"epochs": EPOCHS, "verbose": 0, "validation_data": tuple(WATCHED.values()), **options}
    x, y = data or (Pictures(), None)
    return model.fit(x, y, callbacks=callbacks, **options)


def left_behind(model, history=None):
    """All that a training leaves, with every number as its bytes."""
    found = {}
    for part in variables(model):
        found[part.path] = (bits(part.value), part.trainable)
        if BACKEND == "torch":
            found[f"gradient of {part.path}"] = None if part.value.grad is None else bits(part.value.grad)
    if BACKEND == "torch":
        found["training flags"] = [module.training for module in model.modules()]
    seeds = global_state.get_global_attribute("global_seed_generator")
    found["Keras' random stream"] = None if seeds is None else bits(seeds.state.value)
    found["random streams"] = repr(random_state())
    found["attributes"] = [sorted(vars(layer)) for layer in model._flatten_layers()]
    found["history"] = repr(history and history.history)
    return found


@functools.cache
def alone(net, **compiled):
    model = make(NETS[net], **compiled)
    return left_behind(model, fit(model))


def different(net, callbacks, **compiled):
    """What is not the same with these callbacks, bit for bit."""
    wanted, model = alone(net, **compiled), make(NETS[net], **compiled)
    found = left_behind(model, fit(model, callbacks))
    assert found.keys() == wanted.keys()
    return [name for name in found if found[name] != wanted[name]]


def assert_whole(log, steps):
    """Every step has come, once, and the logger was closed."""
    assert sorted(set(log.steps)) == steps
    assert [event for event in log.events if event in ("open", "close")] == ["open", "close"]
    assert log.events[0] == "open"
    assert log.events[-1] == "close"


@pytest.fixture(autouse=True)
def nothing_but_expected_warnings():
    """A monitor that goes wrong warns and goes on; no test is to pass because of that."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(reported once|is switched off)")
        yield


# Bit for bit.


@pytest.mark.parametrize("net", NETS)
def test_training_is_the_same_bit_for_bit(net):
    log, method = Recorder(), "cam" if net == "cam" else "gradcam"
    by_xla = {"jit_compile": True} if net == "frozen backbone" and BACKEND != "torch" else {}
    assert not by_xla or make(NETS[net], **by_xla).jit_compile  # Keras has no such way for augmentation
    assert different(net, [HeatmapCallback(**WATCHED, method=method, loggers=log)], **by_xla) == []
    assert_whole(log, [0, 1, 2])


def test_training_is_the_same_eagerly():
    log = Recorder()
    assert different("functional", [HeatmapCallback(**WATCHED, loggers=log)], run_eagerly=True) == []
    assert_whole(log, [0, 1, 2])


def fails_later():
    """A method that is all right on the first look."""
    calls = count()

    def method(activations, gradients):
        if next(calls):
            raise ArithmeticError("on purpose")
        return gradients.mean(2)

    return method


def out_of_order():
    raise OSError("the tracker is out of order")


WAYS = {
    "several methods": ([0, 1, 2], lambda: {"method": ["gradcam", "hirescam", "eigencam", "random"], "batch_size": 3}),
    "the worst of the training data": ([0, 1, 2], lambda: {"worst": 2, "pool": Pictures(), "beside": False}),
    "pictures of the training data": ([0, 2], lambda: {"x": Pictures(), "truth": None, "per_class": 2, "every": 2}),
    "after batches": ([1, 2, 4, 6, 8], lambda: {"unit": "step", "every": 2}),
    "a logger that raises": ([], lambda: {"loggers": Recorder(out_of_order)}),
    "a method that fails": ([], lambda: {"method": fails_later()}),
}


@pytest.mark.parametrize("way", WAYS)
def test_training_is_the_same_however_it_is_watched(way):
    steps, choose = WAYS[way]
    options = {**WATCHED, "loggers": Recorder(), **choose()}
    with pytest.warns(RuntimeWarning, match="on purpose|out of order") if not steps else contextlib.nullcontext():
        # Given one callback, and no list, Keras hands it to another thread without asking whether it may.
        assert different("cam", HeatmapCallback(**options)) == []
    assert_whole(options["loggers"], steps)


RUDE = {
    "learning/gamma": lambda model: model.get_layer("learning").gamma.assign_add([0, 0, 0, 1e-6]),
    "frozen/moving_mean": lambda model: model.get_layer("frozen").moving_mean.assign_add([0, 0, 1e-6, 0, 0]),
    "adam/iteration": lambda model: model.optimizer.iterations.assign_add(1),
    "seed_generator_state": lambda model: model.get_layer("dropout").seed_generator.next(),
    "random streams": lambda model: np.random.rand(),
    "attributes": lambda model: setattr(model.get_layer("last"), "note", 1),
}


def test_the_comparison_sees_everything():
    model = make(NETS["functional"])
    history = fit(model, epochs=1)
    for what, rude in RUDE.items():
        before = left_behind(model, history)
        rude(model)
        after = left_behind(model, history)
        assert next(name for name in after if after[name] != before[name]).endswith(what)
    history.history["loss"][0] += 1e-9
    assert left_behind(model, history)["history"] != after["history"]


# What is logged.


class Weights(keras.callbacks.Callback):
    """The weights after each epoch and after each batch, as {step: weights}."""

    def __init__(self):
        super().__init__()
        self.kept = {"epoch": {}, "step": {}}

    def on_train_batch_end(self, batch, logs=None):
        self.kept["step"][len(self.kept["step"]) + 1] = self.model.get_weights()

    def on_epoch_end(self, epoch, logs=None):
        self.kept["epoch"][epoch] = self.model.get_weights()


@functools.cache
def weights_of_a_training():
    weights = Weights()
    fit(make(NETS["cam"]), [weights])
    return weights.kept


@pytest.mark.parametrize(("unit", "steps"), [("epoch", [0, 1, 2]), ("step", list(range(1, 10)))])
def test_the_heatmaps_are_those_of_the_model_at_that_time(unit, steps):
    watched, weights = {**WATCHED, "class_names": NAMES}, weights_of_a_training()[unit]
    log, made, model = Recorder(), [], make(NETS["cam"])
    kept = traces_of(model)
    count_traces = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: made.append(kept.made))
    fit(model, [HeatmapCallback(**watched, unit=unit, loggers=log), count_traces])
    assert log.steps == list(weights) == steps
    for step, logged in log.logged:
        model.set_weights(weights[step])
        wanted = xaicore.explain(model, **watched)
        for name in ("maps", "scores", "outputs", "predicted", "truth", "images"):
            np.testing.assert_array_equal(getattr(logged, name), getattr(wanted, name), name)
        assert logged.class_names == NAMES
    assert all((a.maps != b.maps).any() for (_, a), (_, b) in pairwise(log.logged))
    assert made[0] == made[-1] > 0  # fit, in between, makes no new traces


def test_cam_is_what_the_classifier_sees_in_the_last_map():
    log, model = Recorder(), make(NETS["cam"])
    fit(model, [HeatmapCallback(**WATCHED, method="cam", loggers=log)])
    *_, last = model.layers
    features = keras.Model(model.input, model.get_layer("last").output)(WATCHED["x"], training=False)
    rows = keras.ops.convert_to_numpy(last.kernel).T
    _, logged = log.logged[-1]
    maps = np.einsum("nhwc,nc->nhw", keras.ops.convert_to_numpy(features), rows[logged.predicted])
    np.testing.assert_allclose(logged.maps, np.maximum(maps, 0), rtol=1e-5, atol=1e-6)


def make_tiny(net=tiny, **compiled):
    """Compiled in no time; TensorFlow takes a second or two to trace a step."""
    return make(net, **{"run_eagerly": BACKEND == "tensorflow", **compiled})


def fit_tiny(callbacks, model=None, data=TINY_DATA, **options):
    model = model or make_tiny()
    fit(model, callbacks, data, **{"batch_size": 4, "validation_data": None, **options})
    return model


def evaluate_tiny(callbacks, model):
    model.evaluate(*TINY_DATA, callbacks=callbacks, batch_size=4, verbose=0)


@pytest.mark.parametrize(("unit", "step"), [("epoch", 2), ("step", 9)])
def test_evaluate_logs_once_at_the_last_epoch(unit, step):
    """And it shows the trained weights, as the last epoch did; validation inside of `fit` logs nothing."""
    log = Recorder()
    heatmaps = HeatmapCallback(**TINY, unit=unit, every=2, loggers=log)
    model = fit_tiny([heatmaps], validation_data=TINY_DATA)
    trained = log.steps.copy()
    evaluate_tiny([heatmaps], model)
    assert log.steps == [*trained, step]
    np.testing.assert_array_equal(log.logged[-1][1].maps, xaicore.explain(model, TINY["x"]).maps)


def test_evaluate_logs_a_model_that_was_never_trained():
    log, model = Recorder(), make_tiny()
    evaluate_tiny([HeatmapCallback(**TINY, loggers=log)], model)
    assert (log.steps, log.events) == ([0], ["open", "log 0", "flush", "close"])


def test_evaluate_logs_after_a_fit_that_failed():
    log, model = Recorder(), make_tiny()
    heatmaps = HeatmapCallback(**TINY, loggers=log)
    with pytest.raises(KeyboardInterrupt):
        fit_tiny([heatmaps, keras.callbacks.LambdaCallback(on_epoch_end=interrupt)], model)
    evaluate_tiny([heatmaps], model)
    assert log.steps == [0, 0]
    assert log.events.count("close") == 2


def interrupt(epoch, logs):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"every": 2}, [0, 2, 4]),
        ({"every": 3}, [0, 3]),
        ({"unit": "step"}, list(range(1, 16))),
        ({"unit": "step", "every": 4}, [1, 4, 8, 12]),
    ],
    ids=str,
)
def test_every_so_many(options, steps):
    log = Recorder()
    fit_tiny([HeatmapCallback(**TINY, loggers=log, **options)], epochs=5)
    assert_whole(log, steps)


@pytest.mark.skipif(BACKEND == "torch", reason="steps_per_execution must be 1 there")
def test_batches_are_counted_where_several_run_at_once():
    log, model = Recorder(), make_tiny(run_eagerly=False, steps_per_execution=2)
    fit_tiny([HeatmapCallback(**TINY, unit="step", loggers=log)], model, epochs=2)
    assert log.steps == [2, 3, 5, 6]  # three batches an epoch


def test_batches_are_counted_where_nobody_knows_how_many_come():
    log, (x, y) = Recorder(), TINY_DATA
    batches = ((x[n : n + 4], y[n : n + 4]) for n in (0, 4, 8))
    callback = HeatmapCallback(**TINY, unit="step", loggers=log)
    with pytest.warns(UserWarning, match="ran out of data"):
        fit_tiny([callback], data=(batches, None), batch_size=None, shuffle=False, epochs=1)
    assert log.steps == [1, 2, 3]


def test_batches_are_counted_on_from_the_iterations_of_an_optimizer():
    log, model = Recorder(), make_tiny()
    model.optimizer.iterations.assign(100)
    fit_tiny([HeatmapCallback(**TINY, unit="step", loggers=log)], model, epochs=1)
    assert log.steps == [101, 102, 103]


def test_a_loop_of_ones_own():
    """With an optimizer that Keras knows nothing of; Keras may say from other threads that a batch ends."""
    log, threads = Recorder(), []

    class Noting(HeatmapCallback):
        def on_train_batch_end(self, batch, logs=None):
            threads.append(threading.current_thread())
            super().on_train_batch_end(batch, logs)

    model = make_tiny()
    callbacks = keras.callbacks.CallbackList([Noting(**TINY, unit="step", loggers=log)], model=model)
    callbacks.on_train_begin()
    for epoch, batches in enumerate((3, 2)):
        callbacks.on_epoch_begin(epoch)
        for batch in range(batches):
            callbacks.on_train_batch_begin(batch)
            model.trainable_variables[0].assign_add(model.trainable_variables[0] + 1)
            callbacks.on_train_batch_end(batch)
        callbacks.on_epoch_end(epoch)
    callbacks.on_train_end()
    assert_whole(log, [1, 2, 3, 4, 5])
    assert (threading.main_thread() in threads) == (BACKEND == "tensorflow")  # so nobody waits for each batch


def test_further_trainings_go_on_in_the_same_run():
    logs = []

    def logged_by(unit):
        log = Recorder()
        names = []
        log.open = lambda run: (names.append(run.name), log.events.append("open"))
        callback = HeatmapCallback(**TINY, unit=unit, loggers=log)
        logs.append((log, names))
        return callback

    callbacks = [logged_by("epoch"), logged_by("step")]
    model = fit_tiny(callbacks, epochs=2)
    assert callbacks[0].monitor is None
    fit_tiny(callbacks, model, epochs=4, initial_epoch=2)
    for _ in range(2):
        fit_tiny(callbacks, model, epochs=1)  # an epoch that was there already
    (epochs, names), (steps, others) = logs
    assert epochs.steps == [0, 1, 2, 3, 0, 0]
    assert steps.steps == list(range(1, 19))
    assert len(names) == len(others) == 4
    assert len(set(names)) == len(set(others)) == 1 != len({*names, *others})
    assert epochs.events.count("close") == 4


def test_a_training_that_breaks_off_is_closed_when_the_next_begins():
    log = Recorder()
    callback = HeatmapCallback(**TINY, unit="step", loggers=log)

    def stumble(batch, logs):
        if batch == 2:
            raise KeyboardInterrupt

    breaking = keras.callbacks.LambdaCallback(on_train_batch_begin=stumble)
    with pytest.raises(KeyboardInterrupt):
        fit_tiny([callback, breaking])
    fit_tiny([callback], epochs=1)  # of a new model
    first, second = log.events[: log.events.index("close") + 1], log.events[log.events.index("close") + 1 :]
    assert [event for event in first if event != "flush"] == ["open", "log 1", "log 2", "close"]
    assert [event for event in second if event != "flush"] == ["open", "log 1", "log 2", "log 3", "close"]


def test_nothing_is_kept_of_the_model():
    callback, alive = HeatmapCallback(**TINY, loggers=Recorder()), []
    for _ in range(2):
        alive.append(weakref.ref(fit_tiny([callback], epochs=1)))
    callback.set_model(None)
    gc.collect()
    assert [model() for model in alive] == [None, None]
    assert not [thread for thread in threading.enumerate() if thread.name == "xaicore-loggers"]


# Pictures and labels.


def loader(kind):
    x, y = TINY_DATA
    if kind == "PyDataset":

        class Data(keras.utils.PyDataset):
            def __len__(self):
                return 3

            def __getitem__(self, at):
                return x[4 * at : 4 * at + 4], y[4 * at : 4 * at + 4]

        return Data()
    if kind == "tf.data":
        tf = pytest.importorskip("tensorflow")
        return tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
    data = pytest.importorskip("torch.utils.data")
    torch = sys.modules["torch"]
    return data.DataLoader(data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y)), batch_size=4)


def sample_of(model=None, **options):
    """The pictures that are watched as a training begins."""
    callback = HeatmapCallback(**{"loggers": Recorder(), **options})
    callback.set_model(model or make_tiny())
    callback.on_train_begin()
    sample = callback.monitor.sample
    callback.on_train_end()
    return sample


@pytest.mark.parametrize("kind", ["PyDataset", "tf.data", "DataLoader"])
def test_pictures_of_a_loader(kind):
    x, y = TINY_DATA
    sample = sample_of(x=loader(kind), first=5)
    np.testing.assert_array_equal(sample.x, x[:5])
    np.testing.assert_array_equal(sample.truth, y[:5])
    sample = sample_of(x=loader(kind), per_class=1)
    np.testing.assert_array_equal(sample.x, x[:3])
    assert sample.truth.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([2, 0], [2, 0]),
        (np.eye(3, dtype="float32")[[2, 0]], [2, 0]),
        (np.array([[1.0], [0.0]], "float32"), [1, 0]),
        (keras.ops.convert_to_tensor([2, 0]), [2, 0]),
        (keras.ops.one_hot(np.array([2, 0]), 3), [2, 0]),
        (keras.ops.cast([2, 0], "bfloat16"), [2, 0]),
        (list(keras.ops.convert_to_tensor([2, 0])), [2, 0]),
        (keras.Variable([2.0, 0.0]), [2, 0]),
        (keras.ops.convert_to_tensor([[1, 1, 0], [0, 0, 0]]), [[1, 1, 0], [0, 0, 0]]),
    ],
)
def test_labels_as_keras_has_them(labels, classes):
    sample = sample_of(x=TINY["x"], truth=labels)
    assert sample.truth.tolist() == classes
    toy = xaicore.explain(None, np.ones((2, 3, 6, 5), "float32"), truth=labels, backend=ToyBackend(ToyNet(classes=3)))
    assert toy.truth.tolist() == classes


@pytest.mark.parametrize("form", [np.asarray, keras.ops.convert_to_tensor])
def test_a_single_picture(form):
    x, model = form(TINY["x"][0]), make_tiny()
    wanted = xaicore.explain(model, x, truth=2, ids="one.jpg")
    with xaicore.Monitor(model, x, truth=2, ids="one.jpg", loggers=Recorder()) as monitor:
        (found,) = monitor.step(0)
    for name in ("maps", "scores", "targets", "truth"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    assert (found.ids, found.maps.shape) == (("one.jpg",), wanted.maps.shape)
    assert len(sample_of(x=x, truth=[2])) == 1


# What goes wrong.


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"x": TINY["x"][:0]}, xaicore.InputError, r"x of shape \(0, .* has no images"),
        ({"truth": [0, 1, 2]}, xaicore.InputError, r"truth of shape \(3,\) for 2 images"),
        ({"layer": "conv9"}, xaicore.LayerError, "no layer called 'conv9' in Functional; nearest names: conv2d"),
        ({"targets": "truth", "truth": [0, 7]}, xaicore.InputError, "truth 7 is out of range"),
        ({"every": 0}, xaicore.InputError, "every=0: expected"),
        ({"method": "cam", "layer": "input_layer"}, xaicore.XaicoreError, "input_layer"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_mistake_shows_before_the_first_batch(wrong, error, message):
    log, model = Recorder(), make_tiny()
    before = model.get_weights()
    with pytest.raises(error, match=message):
        fit_tiny([HeatmapCallback(**{**TINY, "loggers": log, **wrong})], model)
    assert log.events == []
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_a_mistake_that_shows_later_does_not_stop_the_training():
    """On TensorFlow, fit builds a model with the first batch, after the callbacks have begun."""
    log, model = Recorder(), make_tiny(lambda: keras.Sequential(tiny().layers[1:]))
    callback = HeatmapCallback(**TINY, layer="conv9", loggers=log)
    assert not model.built
    if BACKEND == "tensorflow":
        with pytest.warns(RuntimeWarning, match="no heatmaps of step 0: LayerError: no layer called 'conv9'") as said:
            fit_tiny([callback], model)
        assert sum("conv9" in str(one.message) for one in said) == 1
        assert model.optimizer.iterations == EPOCHS * BATCHES
        assert log.events == ["open", "close"]
    else:
        with pytest.raises(xaicore.LayerError, match="no layer called 'conv9'"):
            fit_tiny([callback], model)


def test_options_are_checked_at_once():
    with pytest.raises(xaicore.InputError, match="unit='batch': expected 'epoch' or 'step'"):
        HeatmapCallback(**TINY, unit="batch")
    with pytest.raises(TypeError, match="colour"):
        HeatmapCallback(**TINY, colour="red")


@contextlib.contextmanager
def second_process(model, monkeypatch):
    """As if this were the second of several."""
    if BACKEND == "jax":
        monkeypatch.setattr("jax.process_index", lambda: 1)
        yield
    elif BACKEND == "tensorflow":
        monkeypatch.setattr(type(model.distribute_strategy.extended), "should_save_summary", False)
        yield
    else:
        from torch import distributed

        distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
        monkeypatch.setattr("torch.distributed.get_rank", lambda: 1)
        try:
            yield
        finally:
            distributed.destroy_process_group()


def test_only_the_main_process_works(monkeypatch):
    model, log = make_tiny(), Recorder()
    callback = HeatmapCallback(**TINY, unit="step", loggers=log)
    with second_process(model, monkeypatch):
        fit_tiny([callback], model)
    assert log.events == []
    monkeypatch.undo()
    fit_tiny([callback], model, epochs=1)
    assert_whole(log, [10, 11, 12])


@pytest.mark.skipif(BACKEND != "jax", reason="Keras shards on JAX alone")
def test_sharded_weights_are_refused(monkeypatch):
    callback, started = HeatmapCallback(**TINY, loggers=Recorder()), []
    monkeypatch.setattr(callback, "start", started.append)

    def begin(**value):
        model = SimpleNamespace(name="net", variables=[SimpleNamespace(value=SimpleNamespace(**value))])
        callback.set_model(model)
        callback.on_train_begin()
        return started[-1] is model

    assert begin(is_fully_addressable=False, is_fully_replicated=True)
    assert begin(is_fully_addressable=True, is_fully_replicated=False)
    with pytest.raises(xaicore.BackendError, match="the weights of 'net' are sharded over several processes"):
        begin(is_fully_addressable=False, is_fully_replicated=False)
    assert len(started) == 2


# The page.


def test_the_page_on_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pages.run("docs/training.md", "Keras")
    rows = [json.loads(line) for line in (tmp_path / "runs" / "keras" / "manifest.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 0, 1, 1, 2, 2]
    assert [row["truth_name"] for row in rows] == ["ant", "bee"] * 3


def test_the_worst_of_several_labels_are_ranked_as_the_loss_reads_them():
    """By the sigmoid that the loss applies, as explanations are scored; a softmax would find another image."""
    model, x = make_tiny(), TINY_DATA[0]
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True), run_eagerly=BACKEND == "tensorflow")
    kernel = 20 * np.random.default_rng(2).normal(size=model.layers[-1].kernel.shape)
    model.layers[-1].kernel.assign(kernel.astype("float32"))
    z = keras.ops.convert_to_numpy(model(x, training=False)).astype(float)
    truth = np.eye(CLASSES, dtype=int)[np.arange(12) % CLASSES]
    truth[::2, 0] = 1
    softmax = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    by_sigmoid, by_softmax = (np.where(truth, p, 1).min(1).argmin() for p in (z, softmax - 1))
    assert by_sigmoid != by_softmax
    monitor = xaicore.Monitor(model, x[:2], worst=1, pool=(x, truth), loggers=[])
    assert monitor.step(0)[-1].ids == (str(by_sigmoid),)

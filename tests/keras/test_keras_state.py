"""The model and the process are bitwise as before; also after an exception, beside training, and in threads."""

import contextlib
import random
import threading

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras_arranged import KerasBackend
from keras_nets import (
    BACKEND,
    CLOSE,
    Subclassed,
    body,
    conv_gap_dense,
    features,
    gradcam,
    logits,
    mean,
    numpy,
    pictures,
    rows_of,
    run,
    settle,
)
from toynet import BrokenTarget

import xaicore


class Restless(keras.Model):
    """Draws random numbers, counts its calls, adds losses; dropout, and a half-frozen batch normalisation."""

    def __init__(self):
        super().__init__(name="restless")
        self.conv = layers.Conv2D(4, 3, padding="same", activity_regularizer="l2", kernel_regularizer="l2", name="conv")
        self.norm = layers.BatchNormalization(name="norm")
        self.frozen = layers.BatchNormalization(name="frozen", trainable=False)
        self.noise = layers.GaussianNoise(0.5, seed=3)
        self.dropout = layers.Dropout(0.5, seed=4)
        self.dense = layers.Dense(3, name="dense")
        self.seeds = keras.random.SeedGenerator(5)
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")
        self.fails = False

    def call(self, x, training=None):
        self.calls.assign_add(1)
        drawn = keras.random.normal((1,), seed=self.seeds)
        a = ops.relu(self.frozen(self.norm(self.conv(x), training=training)))
        self.add_loss(0.01 * ops.mean(a))
        if self.fails:
            raise RuntimeError("on purpose")
        pooled = self.noise(ops.mean(a, axis=(1, 2)), training=training) + 0 * drawn
        return self.dense(self.dropout(pooled, training=training))


def training(frozen=False, eager=False):
    """In the middle of its training: moments, metrics, losses, seeds that have moved; on torch gradients as well."""
    model = Restless()
    model(pictures())
    settle(model)
    model.norm.trainable = not frozen
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, loss, metrics=["accuracy"], run_eagerly=eager)
    optimizer.build(model.trainable_variables)
    for moment in optimizer.variables:
        if "momentum" in moment.path:
            moment.assign(0.01 * np.ones(moment.shape))
    model(pictures(), training=True)  # leaves losses
    if BACKEND == "torch":
        model.dense.kernel.value.grad = 2 * model.dense.kernel.value.detach()
    return model


@pytest.mark.parametrize("layer", [None, "conv"])
def test_everything_is_as_before(unchanged, layer):
    model = training()
    losses = [float(numpy(ops.convert_to_tensor(loss))) for loss in model.losses]
    assert len(losses) == 3
    for method in ("gradcam", "eigencam", "cam"):
        with unchanged(model):
            explainer = xaicore.Explainer(model, method, layer)
            with contextlib.suppress(xaicore.MethodError):  # a ReLU lies between the layer and the mean
                explainer(pictures(), xaicore.targets.TopK(2))
                explainer(pictures(3), 1)
                assert method != "cam"
    assert [float(numpy(ops.convert_to_tensor(loss))) for loss in model.losses] == losses
    assert all("call" not in vars(part) for part in model._flatten_layers())


def test_the_other_powers_leave_everything_as_before(unchanged):
    model = training(frozen=True)
    with unchanged(model):
        backend = xaicore.Explainer(model).backend
        backend.layers(pictures())
        backend.predict(pictures())
        given = backend.capture(pictures(), ["norm", "frozen", "dense"])
        backend.resume(pictures(), "norm", given.activations["norm"])


def test_the_operations_of_a_graph_are_as_before(unchanged):
    i = keras.Input((6, 9, 1))
    model = keras.Model(i, ops.softmax(layers.Dense(3)(ops.mean(ops.relu(body(i)) * 2, axis=(1, 2)))))
    assert len([part for part in model.operations if not isinstance(part, keras.Layer)]) == 4
    with unchanged(model):
        backend = KerasBackend(model)
        backend.layers(pictures())
        backend.capture(pictures(), ["relu1"], lambda outputs, kind: np.ones((2, 1, 3), np.float32))


@pytest.mark.parametrize("layer", [None, "conv"])
def test_everything_is_as_before_when_the_model_fails(unchanged, layer):
    model = training()
    model.fails = True
    message = r"(?s)RuntimeError for inputs \(2, 6, 9, 1\) float32.*on purpose"
    with unchanged(model), pytest.raises(xaicore.BackendError, match=message) as caught:
        xaicore.explain(model, pictures(), layer=layer)
    assert caught.value.__cause__ is not None
    model.fails = False
    with unchanged(model):
        assert xaicore.explain(model, pictures(), layer=layer).maps.shape == (2, 6, 9)


@pytest.mark.parametrize("error", [ZeroDivisionError("mine"), KeyboardInterrupt()])
def test_everything_is_as_before_when_the_target_fails(unchanged, error):
    model = training()
    with unchanged(model), pytest.raises(type(error)) as caught:
        xaicore.explain(model, pictures(), BrokenTarget(error))
    assert caught.value is error  # unchanged, and not wrapped


def test_everything_is_as_before_when_the_pull_back_fails(unchanged):
    @ops.custom_gradient
    def once(y):
        def grad(*args, upstream=None):
            raise RuntimeError("no way back")

        return y * 1, grad

    model = Subclassed(end=once)
    with unchanged(model), pytest.raises(xaicore.BackendError, match="no way back"):
        xaicore.explain(model, pictures(), 1)


def test_a_keyboard_interrupt_inside_of_the_model_leaves_everything_as_before(unchanged):
    def interrupted(y):
        if armed:
            raise KeyboardInterrupt
        return y

    armed = []
    model = Subclassed(end=interrupted)
    armed.append(True)
    with unchanged(model), pytest.raises(KeyboardInterrupt):
        xaicore.explain(model, pictures(), 1)
    armed.clear()
    np.testing.assert_allclose(xaicore.explain(model, pictures(), 1).maps, by_hand(model), **CLOSE)


class Drawing(Subclassed):
    """Draws from the random states of the process."""

    def call(self, x):
        drawn = np.random.rand() + random.random()
        if BACKEND == "torch":
            import torch

            drawn += torch.rand(()).item()
        elif BACKEND == "tensorflow":
            import tensorflow as tf

            drawn += tf.random.uniform(())
        return super().call(x) + 0 * drawn


def test_the_random_states_of_the_process_are_as_before(unchanged):
    model = Drawing()
    with unchanged(model):
        np.testing.assert_allclose(xaicore.explain(model, pictures(), 1).maps, by_hand(model), **CLOSE)
        xaicore.Explainer(model).backend.predict(pictures())


def by_hand(model, c=1, x=None):
    x = pictures() if x is None else x
    return gradcam(model, x, [[c]] * len(x))[:, 0]


class Remembering(Subclassed):
    """Keeps things of its last call in plain attributes."""

    def __init__(self):
        self.count, self.last, self.inventive = 0, None, False
        super().__init__()

    def call(self, x):
        self.count += 1
        self.last = super().call(x)
        self.dense.seen = self.last
        if self.inventive:
            self.invented = self.dense.invented = self.last
        return self.last


def test_what_a_model_remembers_of_its_last_call_stays(unchanged):
    model, x = Remembering(), pictures()
    run(model, x)
    with unchanged(model):
        np.testing.assert_allclose(xaicore.explain(model, x, 1).maps, by_hand(model), **CLOSE)
    np.testing.assert_allclose(numpy(model.last), logits(model, x), **CLOSE)
    assert model.last is model.dense.seen
    model.inventive = True
    with unchanged(model):
        xaicore.explain(model, x, 1)
    assert not hasattr(model, "invented")


def test_a_call_that_the_user_has_replaced_is_used_and_stays(unchanged):
    model, x = conv_gap_dense(), pictures()
    conv, plain = model.get_layer("conv1"), model.get_layer("conv1").call
    object.__setattr__(conv, "call", lambda inputs: plain(2 * inputs))
    with unchanged(model):
        np.testing.assert_allclose(xaicore.explain(model, x, 1).maps, by_hand(model, x=2 * x), **CLOSE)
        conv_given = KerasBackend(model).capture(x, ["conv1"]).activations["conv1"]
    assert "call" in vars(conv)
    np.testing.assert_allclose(conv_given, np.moveaxis(numpy(plain(ops.convert_to_tensor(2 * x))), -1, 1), **CLOSE)


def test_the_callers_input_is_not_written_to():
    model, x = conv_gap_dense(activation="softmax"), pictures()
    before = x.copy()
    explainer = xaicore.Explainer(model)
    for given in (x, ops.convert_to_tensor(x)):
        explainer(given, [[0, 1]] * 2)
        np.testing.assert_array_equal(numpy(given) if given is not x else x, before)


@pytest.mark.skipif(BACKEND != "torch", reason="tensors can be written to on torch alone")
def test_a_model_that_writes_into_its_input_gets_a_copy():
    class InPlace(Subclassed):
        def call(self, x):
            x -= 0.5
            return super().call(x)

    model = InPlace(built=False)
    model(ops.convert_to_tensor(pictures()))
    settle(model)
    x = pictures()
    for given in (x, ops.convert_to_tensor(x.copy())):
        for _ in range(2):
            np.testing.assert_allclose(xaicore.explain(model, given, 1).maps, by_hand(model, x=x - 0.5), **CLOSE)
            np.testing.assert_array_equal(numpy(ops.convert_to_tensor(given)), pictures())


def test_results_do_not_share_memory_with_each_other_or_the_model():
    model, x = conv_gap_dense(), pictures()
    explainer = xaicore.Explainer(model)
    first = explainer(x, [[0, 1]] * 2)
    maps, outputs = first.maps.copy(), first.outputs.copy()
    given = explainer.backend.capture(x, ["relu2"])
    activations = given.activations["relu2"].copy()
    explainer(3 * x, [[2, 1]] * 2)
    explainer.backend.capture(3 * x, ["relu2"])
    np.testing.assert_array_equal(first.maps, maps)
    np.testing.assert_array_equal(first.outputs, outputs)
    np.testing.assert_array_equal(given.activations["relu2"], activations)


# -- training


def batches():
    rng = np.random.default_rng(7)
    return [(rng.normal(size=(4, 6, 9, 1)).astype(np.float32), rng.integers(0, 3, 4)) for _ in range(4)]


def everything(model):
    found = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return [numpy(variable).tobytes() for variable in found]


@pytest.mark.parametrize("eager", [False, True])
def test_training_goes_on_as_if_nothing_had_happened(eager):
    if eager and BACKEND != "tensorflow":
        pytest.skip("always so on torch; every operation alone is too slow on JAX")

    def train(explained):
        keras.utils.set_random_seed(1)
        model = training(eager=eager)
        explainer = xaicore.Explainer(model)
        losses = []
        for step, (x, y) in enumerate(batches()):
            losses.append(model.train_on_batch(x, y))
            if explained:
                explainer(x)
            if explained and step % 2:
                explainer(x[:3], [[0, 1]] * 3)
                explainer.compare(x, ["eigencam", "hirescam"])
                explainer.backend.layers(x)
        drawn = [np.random.rand(), random.random(), numpy(keras.random.normal((3,))).tobytes()]
        return [everything(model), losses, drawn, model.predict_on_batch(pictures()).tobytes()]

    assert train(False) == train(True)


def test_fitting_with_an_explanation_after_every_epoch():
    class Explain(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            found.append(xaicore.explain(self.model, pictures(), 1, layer="conv", method="hirescam"))
            weights.append(numpy(self.model.dense.kernel).copy())

    def fit(callbacks):
        keras.utils.set_random_seed(1)
        model = training()
        x, y = (np.concatenate(parts) for parts in zip(*batches(), strict=True))
        history = model.fit(x, y, batch_size=4, epochs=3, verbose=0, callbacks=callbacks)
        return [everything(model), history.history]

    found, weights = [], []
    assert fit([]) == fit([Explain()])
    assert len({explanation.outputs.tobytes() for explanation in found}) == 3  # each of the weights of its moment
    assert not np.array_equal(weights[0], weights[1])


def test_predict_before_and_after_is_the_same():
    model, x = training(), pictures()
    before = model.predict(x, verbose=0)
    traced = model.predict_function
    xaicore.explain(model, x)
    assert model.predict_function is traced
    np.testing.assert_array_equal(model.predict(x, verbose=0), before)
    fresh = training()
    xaicore.explain(fresh, x)
    np.testing.assert_array_equal(fresh.predict(x, verbose=0), before)  # traced after us: nothing of ours in it


# -- what belongs to one of the backends


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's tapes")
def test_inside_of_a_gradient_tape(unchanged):
    import tensorflow as tf

    model, x = conv_gap_dense(), tf.constant(pictures())

    def gradients(explained):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            y = model(x)
            if explained:
                with unchanged(model):
                    maps = xaicore.explain(model, x, 1).maps
                np.testing.assert_allclose(maps, by_hand(model), **CLOSE)
            loss = tf.reduce_sum(y**2)
        return [g.numpy().tobytes() for g in tape.gradient(loss, [x, *model.trainable_variables])]

    assert gradients(False) == gradients(True)
    fresh = conv_gap_dense()
    with tf.GradientTape(persistent=True) as tape:
        xaicore.explain(model, pictures(), 1)
        xaicore.explain(fresh, pictures(), 1)  # with all of its tracing
    assert not tape.watched_variables()


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's functions")
@pytest.mark.parametrize("net", [conv_gap_dense, Subclassed])
def test_with_functions_that_run_eagerly(net, unchanged):
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        model = net()
        with unchanged(model):
            np.testing.assert_allclose(xaicore.explain(model, pictures(), 1).maps, by_hand(model), **CLOSE)
        assert tf.config.functions_run_eagerly()
    finally:
        tf.config.run_functions_eagerly(False)
    x = 2 * pictures()
    np.testing.assert_allclose(xaicore.explain(model, x, 1).maps, by_hand(model, x=x), **CLOSE)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's functions")
@pytest.mark.parametrize("where", ["model", "layer"])
def test_a_call_that_is_a_tf_function(where, unchanged):
    import tensorflow as tf

    class Model(Subclassed):
        @tf.function
        def call(self, x):
            return super().call(x)

    class Activation(layers.ReLU):
        @tf.function
        def call(self, x):
            return super().call(x)

    class OfOne(Subclassed):
        def features(self, x):
            return self.last(self.conv2(self.relu1(self.conv1(x))))

    model = Model() if where == "model" else OfOne(last=Activation(name="last"))
    with unchanged(model):
        for layer in ("conv2", "relu2" if where == "model" else "last"):
            maps = xaicore.explain(model, pictures(), 1, layer=layer, method="hirescam").maps
            assert maps.any()
    np.testing.assert_allclose(maps, by_hand(model), **CLOSE)
    assert not tf.config.functions_run_eagerly()


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's graphs")
def test_inside_of_a_graph_of_the_users():
    import tensorflow as tf

    model, found = conv_gap_dense(), []

    @tf.function(autograph=False)
    def step(x):
        found.append(xaicore.explain(model, pictures(), 1))
        return x

    step(tf.constant(1.0))
    np.testing.assert_allclose(found[0].maps, by_hand(model), **CLOSE)


@pytest.mark.skipif(BACKEND != "torch", reason="torch's grad modes")
@pytest.mark.parametrize("mode", ["no_grad", "inference_mode", "enable_grad"])
def test_inside_of_any_grad_mode(mode, unchanged):
    import torch

    model = training()
    with getattr(torch, mode)():
        x = torch.from_numpy(pictures()) + 0
        with unchanged(model):
            explanation = xaicore.explain(model, x, 1, layer="frozen")
    np.testing.assert_allclose(
        explanation.maps, xaicore.explain(model, pictures(), 1, layer="frozen").maps, rtol=1e-6, atol=1e-8
    )
    assert explanation.maps.any()


@pytest.mark.skipif(BACKEND != "torch", reason="torch's gradients")
def test_between_forward_and_backward():
    def gradients(explained):
        model = conv_gap_dense()
        y = model(pictures())
        if explained:
            xaicore.explain(model, pictures(), [[0, 1]] * 2)
        y.sum().backward()
        return [variable.value.grad.numpy().tobytes() for variable in model.trainable_variables]

    assert gradients(False) == gradients(True)


@pytest.mark.skipif(BACKEND != "torch", reason="tensors can be written to on torch alone")
def test_a_write_to_a_layers_output_after_it_is_not_seen_in_its_activations():
    class Writing(Subclassed):
        def features(self, x):
            return self.conv2(self.relu1(self.conv1(x))).relu_()

    model, x = Writing(), pictures()
    a = np.moveaxis(numpy(model.conv2(model.relu1(model.conv1(ops.convert_to_tensor(x))))), -1, 1)
    aim = xaicore.targets.Classes(1)
    given = KerasBackend(model).capture(x, ["conv2"], lambda outputs, kind: aim.aim(outputs, kind).direction)
    assert (a < 0).any()
    np.testing.assert_allclose(given.activations["conv2"], a, **CLOSE)
    expected = rows_of(model)[1][:, None, None] * (a > 0) / 54
    np.testing.assert_allclose(given.gradients["conv2"][:, 0], expected, **CLOSE)


@pytest.mark.skipif(BACKEND != "torch", reason="torch's grad modes")
def test_a_backbone_under_its_own_no_grad(unchanged):
    import torch

    class FrozenBackbone(Subclassed):
        def features(self, x):
            with torch.no_grad():
                return super().features(x)

    model = FrozenBackbone()
    with unchanged(model):
        np.testing.assert_allclose(xaicore.explain(model, pictures(), 1).maps, by_hand(model), **CLOSE)
    with pytest.raises(xaicore.LayerError, match="'relu2' does not reach the outputs"):
        with torch.no_grad():
            xaicore.explain(Detached(), pictures(), 1, layer="relu2")


class Detached(Subclassed):
    """A head that switches gradients off, or stops them."""

    def call(self, x):
        return ops.stop_gradient(super().call(x))


@pytest.mark.skipif(BACKEND != "torch", reason="torch's hooks")
def test_torch_hooks_of_the_users_stay_and_ours_go(unchanged):
    model, seen = conv_gap_dense(), []
    handle = model.get_layer("relu2").register_forward_hook(lambda m, i, o: seen.append(o.shape))
    with unchanged(model):
        xaicore.explain(model, pictures(), 1)
    assert seen
    assert sum(len(layer._forward_hooks) for layer in model._flatten_layers()) == 1
    handle.remove()


# -- threads


class Once:
    """Does something the first time that it is called."""

    def __init__(self):
        self.action = None

    def __call__(self):
        action, self.action = self.action, None
        if action is not None:
            action()


class During(layers.Layer):
    """Does something while the model's pass is under way."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.once = Once()

    def call(self, y):
        self.once()
        return y * 1


class Identity(During):
    """The same by a name that says that it passes on what it gets."""


def in_thread(function):
    """Runs it in another thread to its end; what it raises is raised here."""
    failures = []

    def work():
        try:
            function()
        except BaseException as exc:
            failures.append(exc)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "the other thread waits for us"
    if failures:
        raise failures[0]


def interruptible():
    """conv_gap_dense with a `During` behind relu2 and one behind the end."""
    i = keras.Input((6, 9, 1))
    y = layers.Dense(3, "softmax", name="dense")(mean(During(name="inside")(body(i))))
    return settle(keras.Model(i, Identity(name="behind")(y)))


@pytest.mark.parametrize("elsewhere", ["call", "predict"])
@pytest.mark.parametrize(("pass_", "place"), [("survey", "inside"), ("capture", "inside"), ("capture", "behind")])
def test_another_threads_own_pass_is_not_hooked(elsewhere, pass_, place):
    if (BACKEND, elsewhere) == ("jax", "predict"):
        pytest.skip("Keras' own predict takes the weights away while it runs on JAX: not even a call works beside it")
    model, x = interruptible(), pictures()
    reference, found = numpy(run(model, 3 * x)), []
    explainer = xaicore.Explainer(model, layer="relu2")
    if pass_ == "capture":
        explainer.backend.layers(x)

    def own_pass():
        found.append(numpy(model(3 * x)) if elsewhere == "call" else model.predict(3 * x, verbose=0))

    model.get_layer(place).once.action = lambda: in_thread(own_pass)
    explanation = explainer(x, 1)
    np.testing.assert_allclose(explanation.maps, by_hand(model), **CLOSE)
    assert len(found) == 1
    np.testing.assert_allclose(found[0], reference, rtol=1e-6)
    np.testing.assert_allclose(model.predict(3 * x, verbose=0), reference, rtol=1e-6)
    assert all("call" not in vars(part) for part in model._flatten_layers())


def together(*functions):
    """Each in a thread of its own, started at the same moment; what one raises is raised here."""
    failures, barrier = [], threading.Barrier(len(functions))

    def work(function):
        barrier.wait()
        try:
            function()
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    if failures:
        raise failures[0]


@pytest.mark.parametrize("net", [conv_gap_dense, Subclassed])
def test_threads_that_explain_and_run_one_model_do_not_mix_up(net):
    model, x = net(), pictures(3)
    explainer = xaicore.Explainer(model, layer="relu2")
    maps = [by_hand(model, c, x) for c in range(3)]
    reference = logits(model, x)

    def explain(c):
        for n in (3, 2, 3, 3):
            np.testing.assert_allclose(explainer(x[:n], c).maps, maps[c][:n], **CLOSE)

    def explain_elsewhere():
        for layer in ("conv1", "relu1", "conv2"):
            assert xaicore.explain(model, x, [[0, 1, 2]] * 3, layer=layer).maps.shape == (9, 6, 9)

    def call():
        for _ in range(20):
            np.testing.assert_allclose(numpy(model(x)), reference, **CLOSE)

    def predict():
        for _ in range(3):
            np.testing.assert_allclose(model.predict(x, verbose=0), reference, **CLOSE)

    functions = [*(lambda c=c: explain(c) for c in range(3)), explain_elsewhere, call]
    if BACKEND != "jax":  # there Keras' own predict takes the weights away while it runs
        functions.append(predict)
    together(*functions)
    assert all("call" not in vars(part) for part in model._flatten_layers())


def test_two_threads_may_be_in_their_directions_at_once():
    model, x, barrier = conv_gap_dense(), pictures(), threading.Barrier(2)
    backend = KerasBackend(model)

    def explain(c, layer):
        def direction(outputs, kind):
            barrier.wait(60)  # breaks if the other thread cannot come here as well
            return xaicore.targets.Classes(c).aim(outputs, kind).direction

        gradient = backend.capture(x, [layer], direction).gradients[layer]
        np.testing.assert_allclose(gradient[:, 0, :, 0, 0], np.stack([rows_of(model)[c] / 54] * 2), **CLOSE)

    together(lambda: explain(0, "relu2"), lambda: explain(2, "relu2"))


def test_a_direction_may_use_the_backend_itself():
    model, x, found = conv_gap_dense(activation="softmax"), pictures(), []
    backend = KerasBackend(model)

    def direction(outputs, kind):
        found.append(backend.predict(2 * x))
        found.append(xaicore.explain(model, x, [[0, 2]] * 2).maps.reshape(2, 2, 6, 9))
        return xaicore.targets.Classes(1).aim(outputs, kind).direction

    given = backend.capture(x, ["relu2"], direction)
    z = logits(model, 2 * x)
    np.testing.assert_allclose(found[0] - found[0][:, :1], z - z[:, :1], **CLOSE)
    np.testing.assert_allclose(found[1], gradcam(model, x, [[0, 2]] * 2), **CLOSE)
    np.testing.assert_allclose(given.gradients["relu2"][0, 0, :, 0, 0], rows_of(model)[1] / 54, **CLOSE)


def test_two_models_that_share_layers_in_two_threads():
    i = keras.Input((6, 9, 1))
    a = body(i)
    models = [keras.Model(i, layers.Dense(3, activation=end, name="dense")(mean(a))) for end in (None, "softmax")]
    for seed, model in enumerate(models):
        settle(model, seed)
    x = pictures()
    expected = [np.maximum(np.einsum("c,nchw->nhw", rows_of(model)[1], features(model, x)) / 54, 0) for model in models]

    def explain(model, maps):
        for layer in ("relu2", "relu1", "relu2"):
            found = xaicore.explain(model, x, 1, layer=layer).maps
        np.testing.assert_allclose(found, maps, **CLOSE)

    pairs = list(zip(models, expected, strict=True))
    together(*(lambda pair=pair: explain(*pair) for pair in [*pairs, *pairs]))
    assert all("call" not in vars(part) for model in models for part in model._flatten_layers())


def test_the_hash_of_the_weights_is_theirs():
    def hash_of(model):
        return xaicore.plugins.installed().backend(model).weights_hash()

    model, other = conv_gap_dense(), conv_gap_dense()
    other.set_weights(model.get_weights())
    known = hash_of(model)
    assert len(known) == 32
    assert hash_of(other) == known  # whatever its layers are called
    xaicore.explain(model, pictures())
    assert hash_of(model) == known
    values = model.get_weights()
    values[-1][0] += 1
    other.set_weights(values)
    assert hash_of(other) != known
    assert hash_of(keras.Sequential([layers.Dense(3)])) is None

"""Gradients of inputs, plainly and by rules of ReLUs, against plain autodiff and against loops."""

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras_nets import BACKEND, CLOSE, Subclassed, conv_gap_dense, functional, numpy, pictures, run, settle
from keras_rules import Unit, by_loops, framework_relu, input_gradients

import xaicore
from xaicore_keras.backend import KerasBackend
from xaicore_keras.traces import traces_of

RULES = ("plain", "guided", "deconv")
CLASSES = [[1, 0], [2, 1]]
OWN_RELU = framework_relu()
LARGE = 8 * pictures()
"""Pictures that reach the caps of ReLUs."""


def toward(classes):
    """A direction to these classes (N, K), of outputs (N, classes)."""
    return lambda outputs, kind: np.eye(outputs.shape[1], dtype=np.float32)[np.asarray(classes)]


def gradients(model, x, classes, rule, names=()):
    return KerasBackend(model).capture(x, names, toward(classes), rules=(rule,)).input_gradients[rule]


# Plainly


def two_inputs():
    a, b = keras.Input((6, 9, 1)), keras.Input((4,))
    y = ops.concatenate([ops.mean(layers.Conv2D(4, 3, activation="relu", name="conv")(a), (1, 2)), b], axis=1)
    return settle(keras.Model([a, b], layers.Dense(3)(y)))


def test_plain_gradients_of_one_input():
    model, x = conv_gap_dense(channels=2), pictures(channels=2)
    (found,) = gradients(model, x, CLASSES, "plain")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, input_gradients(model, x, CLASSES), **CLOSE)
    np.testing.assert_allclose(found, by_loops(model, x, CLASSES, "plain"), **CLOSE)


def test_plain_gradients_of_several_inputs():
    model, x = two_inputs(), [pictures(), np.random.default_rng(3).normal(size=(2, 4)).astype("float32")]
    found = gradients(model, x, CLASSES, "plain", ["conv"])
    for i in range(2):
        others = [ops.convert_to_tensor(one) for one in x]
        truth = input_gradients(model, x[i], CLASSES, lambda one, i=i, o=others: model([*o[:i], one, *o[i + 1 :]]))
        np.testing.assert_allclose(found[i], truth, **CLOSE)


def test_whole_numbers_have_no_gradient():
    a, b = keras.Input((6, 9, 1)), keras.Input((3,), dtype="int32")
    y = ops.mean(layers.Conv2D(4, 3, activation="relu")(a), (1, 2)) + ops.mean(layers.Embedding(7, 4)(b), 1)
    model = settle(keras.Model([a, b], layers.Dense(3)(y)))
    x = [pictures(), np.array([[0, 1, 2], [3, 4, 5]], np.int32)]
    for rule in RULES:
        of_pictures, of_words = gradients(model, x, CLASSES, rule)
        assert of_pictures.shape == (2, 2, 6, 9, 1)
        assert np.abs(of_pictures).max() > 1e-3
        assert of_words is None


def test_an_input_that_is_not_used_has_no_gradient():
    a, b = keras.Input((6, 9, 1)), keras.Input((4,))
    model = settle(keras.Model([a, b], layers.Dense(3)(ops.mean(layers.Conv2D(4, 3)(a), (1, 2)))))
    found, unused = gradients(model, [pictures(), np.ones((2, 4), np.float32)], CLASSES, "plain")
    assert found is not None
    assert unused is None


def test_layers_and_inputs_share_a_pass():
    model, x = Subclassed(), pictures()
    alone = KerasBackend(model).capture(x, ["conv1", "relu2"], toward(CLASSES))
    both = KerasBackend(model).capture(x, ["conv1", "relu2"], toward(CLASSES), rules=RULES)
    assert not alone.input_gradients
    assert list(both.input_gradients) == list(RULES)
    np.testing.assert_allclose(both.outputs, alone.outputs, rtol=1e-6)
    for name in alone.gradients:
        np.testing.assert_allclose(both.activations[name], alone.activations[name], rtol=1e-6)
        np.testing.assert_allclose(both.gradients[name], alone.gradients[name], rtol=1e-6, atol=1e-8)
    backwards = KerasBackend(model).capture(x, ["conv1"], toward(CLASSES), rules=RULES[::-1])  # no rule is left behind
    for rule in RULES:
        truth = by_loops(model, x, CLASSES, rule)
        np.testing.assert_allclose(both.input_gradients[rule][0], truth, **CLOSE)
        np.testing.assert_allclose(backwards.input_gradients[rule][0], truth, **CLOSE)


def test_without_a_direction_there_are_no_gradients():
    given = KerasBackend(conv_gap_dense()).capture(pictures(), ["relu2"], rules=("plain",))
    assert not given.gradients
    assert given.input_gradients == {"plain": [None]}


def test_a_model_that_writes_into_its_input():
    model, x = Subclassed(end=lambda y: y * 2), pictures()
    before = x.copy()
    gradients(model, x, CLASSES, "guided")
    np.testing.assert_array_equal(x, before)


# By rules, in nets whose ReLUs are written in many ways


def stack(*activations):
    """Conv, activation, conv, activation, mean, dense."""

    def net(x):
        for activation in activations:
            x = activation(layers.Conv2D(4, 3, padding="same")(x))
        return layers.Dense(3)(layers.GlobalAveragePooling2D()(x))

    return net


class Calls(keras.Model):
    """Conv, function, conv, function, in a `call` of its own."""

    def __init__(self, *functions):
        super().__init__()
        self.convs = [layers.Conv2D(4, 3, padding="same") for _ in functions]
        self.dense = layers.Dense(3)
        self.functions = functions

    def call(self, x):
        for conv, function in zip(self.convs, self.functions, strict=True):
            x = function(conv(x))
        return self.dense(ops.mean(x, axis=(1, 2)))


def calls(*functions):
    model = Calls(*functions)
    model(pictures())
    return settle(model)


def argued(activation):
    """Activations as arguments of convolutions."""

    def net(x):
        for _ in range(2):
            x = layers.Conv2D(4, 3, padding="same", activation=activation)(x)
        return layers.Dense(3)(layers.GlobalAveragePooling2D()(x))

    return functional(net)


def nested(relu):
    i = keras.Input((6, 9, 1))
    inner = keras.Sequential([layers.Conv2D(4, 3, padding="same"), relu(), layers.Conv2D(4, 3, padding="same"), relu()])
    y = keras.Sequential([keras.Sequential([inner]), layers.GlobalAveragePooling2D(), layers.Dense(3)])(i)
    return settle(keras.Model(i, y))


def shared(relu):
    one = relu()
    return functional(stack(one, one, one))


def residual(relu):
    def net(x):
        x = relu()(layers.Conv2D(4, 3, padding="same")(x))
        x = relu()(layers.Add()([x, layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(x))]))
        return layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.MaxPooling2D(2)(x)))

    return functional(net)


def compiled(function):
    """As the user's own compiled function."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function)
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    return function


def mixed(relu):
    return functional(stack(relu(), layers.Activation("gelu"), relu(), layers.LeakyReLU(0.1)))


def gate(relu):
    """A hard sigmoid is no ReLU, although some frameworks compute it with one."""
    return functional(stack(relu(), layers.Activation("hard_sigmoid"), relu(), layers.Activation("hard_silu")))


WRITTEN = {
    "layers": (lambda: functional(stack(layers.ReLU(), layers.ReLU())), np.inf),
    "Activation": (lambda: functional(stack(layers.Activation("relu"), layers.Activation("relu"))), np.inf),
    "argument, by name": (lambda: argued("relu"), np.inf),
    "argument, Keras' function": (lambda: argued(keras.activations.relu), np.inf),
    "argument, the framework's function": (lambda: argued(OWN_RELU), np.inf),
    "operations of a graph": (lambda: functional(stack(ops.relu, keras.activations.relu)), np.inf),
    "operations in a call": (lambda: calls(ops.relu, keras.activations.relu), np.inf),
    "the framework's function in a call": (lambda: calls(OWN_RELU, OWN_RELU), np.inf),
    "compiled functions": (lambda: calls(compiled(OWN_RELU), compiled(ops.relu)), np.inf),
    "ReLU6 layers": (lambda: functional(stack(layers.ReLU(6), layers.ReLU(max_value=6.0))), 6),
    "ReLU6 operations": (lambda: calls(ops.relu6, keras.activations.relu6), 6),
    "a ReLU and a minimum": (lambda: functional(stack(layers.ReLU(0.5), layers.ReLU(max_value=0.5))), 0.5),
}


@functools.cache
def written_out(cap):
    """(the weights, the outputs, {rule: the gradients}) of the same net with each rule written out, by autodiff."""

    def unit(rule):
        if cap in (6, np.inf):
            return Unit(rule, cap)
        return lambda x: ops.minimum(Unit(rule)(x), cap)  # so Keras runs other caps

    truths = {rule: functional(stack(unit(rule), unit(rule))) for rule in RULES}
    outputs = numpy(run(truths["plain"], LARGE))
    return truths["plain"].get_weights(), outputs, {r: input_gradients(truths[r], LARGE, CLASSES) for r in RULES}


@pytest.mark.parametrize("written", WRITTEN)
def test_relus_however_they_are_written(written):
    make, cap = WRITTEN[written]
    weights, outputs, truths = written_out(cap)
    model = make()
    model.set_weights(weights)
    given = KerasBackend(model).capture(LARGE, [], toward(CLASSES), rules=RULES)
    np.testing.assert_allclose(given.outputs, outputs, rtol=1e-4, atol=1e-5)
    for rule in RULES:
        np.testing.assert_allclose(given.input_gradients[rule][0], truths[rule], **CLOSE)


def test_a_full_relu6_hands_on_what_the_rules_say():
    x = np.array([[-1, 2, 8]], np.float32)
    model = settle(keras.Sequential([keras.Input((3,)), layers.ReLU(6), layers.Dense(2, use_bias=False)]))
    model.layers[-1].set_weights([np.repeat([[1, -1]], 3, 0)])
    truths = {"plain": [[0, 1, 0], [0, -1, 0]], "guided": [[0, 1, 0], [0, 0, 0]], "deconv": [[1, 1, 1], [0, 0, 0]]}
    for rule, truth in truths.items():
        np.testing.assert_array_equal(gradients(model, x, [[0, 1]], rule)[0], [truth])


@pytest.mark.parametrize("net", [nested, shared, residual, mixed, gate])
def test_relus_wherever_they_are(net):
    model, x = net(layers.ReLU), pictures()
    given = KerasBackend(model).capture(x, [], toward(CLASSES), rules=RULES)
    for rule in RULES:
        truth = net(lambda rule=rule: Unit(rule))
        truth.set_weights(model.get_weights())
        np.testing.assert_allclose(given.input_gradients[rule][0], input_gradients(truth, x, CLASSES), **CLOSE)


def test_batches_equal_singles_and_targets_single_targets():
    model, x = conv_gap_dense(channels=2), pictures(3, channels=2)
    together = KerasBackend(model).capture(x, [], toward([[0, 1, 2]] * 3), rules=RULES)
    for n, k in np.ndindex(3, 3):
        single = KerasBackend(model).capture(x[n : n + 1], [], toward([[k]]), rules=RULES)
        for rule in RULES:
            (found,) = together.input_gradients[rule]
            np.testing.assert_allclose(found[n : n + 1, k : k + 1], single.input_gradients[rule][0], **CLOSE)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(f"mixed_{dtype}")
    try:
        model = conv_gap_dense()
    finally:
        keras.config.set_dtype_policy(policy)
    for rule in RULES:
        (found,) = gradients(model, pictures(), CLASSES, rule)
        truth = by_loops(model, pictures(), CLASSES, rule)
        assert np.abs(found - truth).mean() < (0.01 if dtype == "float16" else 0.1) * np.abs(truth).mean()


# What no rule is defined for


@pytest.mark.parametrize("rule", ["guided", "deconv"])
@pytest.mark.parametrize("activation", ["gelu", "silu", "elu", "leaky_relu", "hard_sigmoid"])
def test_a_net_without_relus_is_refused(activation, rule):
    model = argued(activation)
    seen = rf"{rule}.*no ReLU.*its activations: {activation}.*'gradient' \(command line: --method gradient\)"
    with pytest.raises(xaicore.MethodError, match=seen):
        gradients(model, pictures(), CLASSES, rule)
    assert gradients(model, pictures(), CLASSES, "plain")[0] is not None


def test_the_activations_of_layers_and_operations_are_named():
    model = functional(stack(layers.LeakyReLU(0.1), ops.silu, layers.ELU()))
    with pytest.raises(xaicore.MethodError, match="its activations: ") as caught:
        gradients(model, pictures(), CLASSES, "guided")
    assert all(name in str(caught.value) for name in ("LeakyReLU", "Silu", "ELU"))


@pytest.mark.parametrize(
    "odd",
    [
        lambda: layers.ReLU(threshold=0.5, name="odd"),
        lambda: layers.ReLU(negative_slope=0.1, max_value=6, name="odd"),
        lambda: layers.PReLU(name="odd"),
    ],
)
def test_what_keras_computes_by_relus_and_is_none_is_refused(odd):
    model = functional(stack(layers.ReLU(), odd()))
    with pytest.raises(xaicore.MethodError, match=r"guided.*'odd'.*'gradient'"):
        gradients(model, pictures(), CLASSES, "guided")
    assert gradients(model, pictures(), CLASSES, "plain")[0] is not None


def test_relus_in_a_loop_are_refused():
    if BACKEND == "torch":
        pytest.skip("torch records the steps of a loop")

    class Loop(layers.Layer):
        def call(self, x):
            return ops.fori_loop(0, 3, lambda i, a: ops.relu(a) * 1.5 - 0.1, x)

    class Scan(layers.Layer):
        def call(self, x):
            return ops.scan(lambda a, b: (ops.relu(a) * 1.5 - 0.1, b), x, ops.ones((3,)))[0]

    model = functional(stack(Loop() if BACKEND == "tensorflow" else Scan(), layers.ReLU()))
    with pytest.raises(xaicore.MethodError, match=r"runs ReLUs inside a loop.*'gradient'"):
        gradients(model, pictures(), CLASSES, "guided")


# Traces, and what stays as it was


@pytest.mark.skipif(BACKEND == "torch", reason="nothing is compiled on torch")
def test_one_trace_serves_all_rules_again():
    model = conv_gap_dense()
    backend = KerasBackend(model)
    backend.capture(pictures(4), ["relu2"], toward(CLASSES * 2), rules=RULES)
    count = traces_of(model).made
    for size in (4, 4, 3, 1):
        n = 4 if BACKEND == "jax" and size == 1 else size  # a second smaller size gets a trace of its own on JAX
        backend.capture(2 * pictures(n), ["relu2"], toward((CLASSES * 2)[:n]), rules=RULES)
    assert traces_of(model).made == count


@pytest.mark.skipif(BACKEND == "torch", reason="nothing is compiled on torch")
def test_other_rules_are_another_trace():
    model = conv_gap_dense()
    for rules in ((), ("plain",), ("guided",), ("plain", "guided")):
        count = traces_of(model).made
        given = KerasBackend(model).capture(pictures(), ["relu2"], toward(CLASSES), rules=rules)
        assert traces_of(model).made > count
        assert tuple(given.input_gradients) == rules


def trained():
    model = Subclassed()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(pictures(), np.array([0, 1]), verbose=0)
    return model


def test_everything_is_as_before(unchanged):
    model = trained()
    with unchanged(model):
        KerasBackend(model).capture(pictures(), ["relu2"], toward(CLASSES), rules=RULES)
    plain = input_gradients(model, pictures(), CLASSES)  # the framework's own ReLUs are its own again
    np.testing.assert_allclose(plain, by_loops(model, pictures(), CLASSES, "plain"), **CLOSE)


@pytest.mark.parametrize("error", [ZeroDivisionError("mine"), KeyboardInterrupt()])
def test_everything_is_as_before_when_the_direction_fails(unchanged, error):
    model = trained()

    def direction(outputs, kind):
        raise error

    with unchanged(model), pytest.raises(type(error)):
        KerasBackend(model).capture(pictures(), ["relu2"], direction, rules=RULES)
    np.testing.assert_allclose(
        gradients(model, pictures(), CLASSES, "guided")[0], by_loops(model, pictures(), CLASSES, "guided"), **CLOSE
    )


def test_everything_is_as_before_when_the_model_fails(unchanged):
    def end(y):
        if failing:
            raise RuntimeError("on purpose")
        return y

    failing = []
    model = Subclassed(end=end)
    failing.append(True)
    with unchanged(model), pytest.raises(xaicore.BackendError, match="on purpose"):
        gradients(model, pictures(), CLASSES, "guided")
    failing.clear()
    with unchanged(model):
        found = gradients(model, pictures(), CLASSES, "guided")[0]
    np.testing.assert_allclose(found, by_loops(model, pictures(), CLASSES, "guided"), **CLOSE)


def test_there_is_nothing_to_compile():
    said = "compiles all passes on TensorFlow and JAX as it is, and none on torch: leave compile out"
    with pytest.raises(xaicore.BackendError, match=said):
        KerasBackend(two_inputs()).compiled(4)

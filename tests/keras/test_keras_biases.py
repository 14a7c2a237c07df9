"""The power "biases": what layers have beyond their derivatives, and FullGrad's sum over all of them."""

import keras
import numpy as np
import pytest
import torch
from keras import layers, ops
from keras_nets import BACKEND, CLOSE, Subclassed, conv_gap_dense, functional, mean, numpy, pictures, settle

import xaicore
from xaicore_keras.backend import KerasBackend
from xaicore_keras.traces import traces_of
from xaicore_torch.backend import TorchBackend


def residual(image):
    """Convolutions with and without biases, a batch norm, a skip connection, a layer that runs twice, dense layers."""
    twice = layers.Conv2D(6, 3, padding="same", name="twice")
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(6, 3, padding="same", name="stem")(image))
    x = layers.ReLU(name="relu")(x)
    x = layers.MaxPooling2D(2)(layers.Add()([x, layers.ReLU()(twice(x))]))
    x = layers.Conv2D(6, 1, use_bias=False, activation="relu", name="plain")(twice(x))
    return layers.Dense(4, name="last")(layers.Dense(5, activation="relu", name="dense")(mean(x)))


def parts(model, x, classes):
    """({layer: its terms (K,)}, the input's term (K,), the outputs that are explained (K,)) of one image.

    Srinivas & Fleuret 2019: f(x) = G x + sum_l G_l b_l.
    """
    backend = KerasBackend(model)
    biases = backend.biases(x)
    direction = np.eye(backend.capture(x, ()).outputs.shape[1], dtype=np.float32)[None, classes]
    given = backend.capture(x, list(biases), lambda outputs, kind: direction, rules=("plain",))
    axes = lambda array: tuple(range(1, array.ndim))  # noqa: E731
    terms = {}
    for name, bias in biases.items():
        product = given.gradients[name][0] * bias
        terms[name] = product.sum(axis=axes(product))
    product = given.input_gradients["plain"][0][0] * x
    return terms, product.sum(axis=axes(product)), given.outputs[0, classes]


def check_complete(model, x, names=None, rel=1e-4, classes=(2, 0)):
    terms, of_input, scores = parts(model, x, list(classes))
    if names is not None:
        assert list(terms) == names
    total = of_input + sum(terms.values())
    largest = max(np.abs(term).max() for term in (scores, of_input, *terms.values()))
    np.testing.assert_allclose(total, scores, atol=rel * largest)
    return terms


def test_biases_are_those_of_the_layers():
    model, x = functional(residual), pictures(1)
    found = KerasBackend(model).biases(x)
    assert list(found) == ["stem", "norm", "twice#1", "twice#2", "dense", "last"]
    norm, dense = model.get_layer("norm"), model.get_layer("dense")
    slope = numpy(norm.gamma) / np.sqrt(numpy(norm.moving_variance) + norm.epsilon)
    before = keras.Model(model.inputs, dense.input)
    is_on = numpy(before(x)) @ numpy(dense.kernel) + numpy(dense.bias) > 0
    expected = {
        "stem": (numpy(model.get_layer("stem").bias), (1, 6, 9, 6)),
        "norm": (numpy(norm.beta) - slope * numpy(norm.moving_mean), (1, 6, 9, 6)),
        "twice#1": (numpy(model.get_layer("twice").bias), (1, 6, 9, 6)),
        "twice#2": (numpy(model.get_layer("twice").bias), (1, 3, 4, 6)),
        "dense": (numpy(dense.bias) * is_on, (1, 5)),  # the ReLU is part of it
        "last": (numpy(model.get_layer("last").bias), (1, 4)),
    }
    for name, (bias, shape) in expected.items():
        np.testing.assert_allclose(found[name], np.broadcast_to(bias, shape), atol=1e-5)
        assert found[name].dtype == np.float32


def test_terms_of_input_and_biases_add_up_to_the_score():
    check_complete(functional(residual), pictures(1))


UNITS = {
    "relu": lambda: layers.ReLU(),
    "relu6": lambda: layers.ReLU(6),
    "gelu": lambda: layers.Activation("gelu"),
    "silu": lambda: layers.Activation("silu"),
    "sigmoid": lambda: layers.Activation("sigmoid"),
    "softplus": lambda: layers.Activation("softplus"),
    "leaky": lambda: layers.LeakyReLU(0.1),
    "group norm": lambda: layers.GroupNormalization(2),
    "layer norm": lambda: layers.LayerNormalization(),
    "rescaling": lambda: layers.Rescaling(2.0, offset=-1.0),
    "an operation": lambda: lambda x: ops.tanh(x) + 0.5,
}


@pytest.mark.parametrize("unit", UNITS)
def test_activations_and_norms_have_biases_of_their_tangents(unit):
    def net(x):
        x = layers.Conv2D(6, 3, name="first")(x)
        return layers.Dense(3, name="last")(mean(layers.Conv2D(4, 3, name="second")(UNITS[unit]()(x))))

    model = functional(net)
    model.get_layer("first").kernel.assign(10 * model.get_layer("first").kernel)  # beyond 6
    terms = check_complete(model, pictures(1))
    assert (len(terms) > 3) == (unit not in ("relu", "leaky"))


def test_the_tangent_of_a_gelu_meets_the_axis_where_it_must():
    """x P(x) - (P(x) + x p(x)) x = -x^2 p(x), with the normal distribution P and its density p."""
    model, x = functional(lambda x: layers.Dense(3)(mean(layers.Activation("gelu", name="gelu")(x)))), pictures(1)
    expected = -(x**2) * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(KerasBackend(model).biases(x)["gelu"], expected, **CLOSE)


def ported(model):
    """The net of `both` on PyTorch, with the weights of the Keras model."""
    kernels = [np.ascontiguousarray(numpy(model.get_layer(name).kernel).transpose(3, 2, 0, 1)) for name in "ab"]
    norm, dense = model.get_layer("norm"), model.get_layer("dense")
    net = torch.nn.Sequential(
        *(torch.nn.Conv2d(3, 6, 3, padding=1), torch.nn.BatchNorm2d(6, eps=norm.epsilon), torch.nn.ReLU()),
        *(torch.nn.Conv2d(6, 5, 3, padding=1), torch.nn.GELU()),
        *(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(5, 4)),
    ).eval()
    values = [kernels[0], model.get_layer("a").bias, norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance]
    values += [0, kernels[1], model.get_layer("b").bias, numpy(dense.kernel).T, dense.bias]
    pairs = zip(net.state_dict().items(), values, strict=True)
    net.load_state_dict(
        {name: old if name == "1.num_batches_tracked" else torch.tensor(numpy(new)) for (name, old), new in pairs}
    )
    return net


def both(image):
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(6, 3, padding="same", name="a")(image))
    x = layers.Activation("gelu", name="gelu")(layers.Conv2D(5, 3, padding="same", name="b")(layers.ReLU()(x)))
    return layers.Dense(4, name="dense")(mean(x))


def test_pytorch_finds_the_same():
    model, x = functional(both, (6, 9, 3)), pictures(2, channels=3)
    net, pixels = ported(model), torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    ours, theirs = KerasBackend(model).biases(x), TorchBackend(net).biases(pixels)
    names = {"a": "0", "norm": "1", "b": "3", "gelu": "4", "dense": "7"}
    assert (list(ours), list(theirs)) == (list(names), list(names.values()))
    for name, other in names.items():
        bias = ours[name] if ours[name].ndim == 2 else ours[name].transpose(0, 3, 1, 2)
        np.testing.assert_allclose(bias, theirs[other], atol=1e-5)
    maps = [xaicore.explain(one, at, [[3, 0]], method="fullgrad").maps for one, at in ((model, x), (net, pixels))]
    np.testing.assert_allclose(maps[0], maps[1], rtol=1e-3, atol=1e-3)


HEADS = {
    "a softmax in a dense layer": lambda x: layers.Dense(3, activation="softmax")(x),
    "a softmax layer": lambda x: layers.Softmax()(layers.Dense(3)(x)),
    "a softmax operation": lambda x: ops.softmax(layers.Dense(3)(x)),
    "sigmoids": lambda x: layers.Dense(3, activation="sigmoid")(x),
    "a reshaped softmax": lambda x: layers.Reshape((3,))(layers.Activation("softmax")(layers.Dense(3)(x))),
}


@pytest.mark.parametrize("head", HEADS)
def test_the_terms_are_those_of_the_logits(head):
    def net(x):
        return HEADS[head](mean(layers.Conv2D(4, 3, activation="relu", name="conv")(x)))

    model, x = functional(net), pictures(1)
    terms = check_complete(model, x)
    assert list(terms) == ["conv", "dense"]
    np.testing.assert_allclose(KerasBackend(model).biases(x)["dense"], numpy(model.get_layer("dense").bias)[None])


@pytest.mark.parametrize("activation", [layers.ReLU, lambda: layers.Activation("gelu")])
def test_an_activation_that_is_a_layer_belongs_to_the_layer_around_it(activation):
    def net(x):
        return layers.Dense(3, name="dense")(mean(layers.Conv2D(4, 3, activation=activation(), name="conv")(x)))

    check_complete(functional(net), pictures(1), ["conv", "dense"])


def test_models_inside_of_models():
    inner = keras.Sequential([layers.Conv2D(4, 3, name="conv"), layers.Activation("silu", name="silu")], name="inner")
    outer = keras.Sequential([inner, layers.BatchNormalization(name="norm")], name="outer")
    model = functional(lambda x: layers.Dense(3, name="dense")(mean(outer(x))))
    check_complete(model, pictures(1), ["outer/inner/conv", "outer/inner/silu", "outer/norm", "dense"])


def test_the_output_that_is_explained():
    image = keras.Input((6, 9, 1))
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    x_mean = mean(x)
    ends = [layers.Dense(3, name="a")(x_mean), layers.Dense(3, activation="softmax")(x_mean)]
    model = settle(keras.Model(image, ends))
    found = xaicore.Explainer(model, "fullgrad", output=1)(pictures(), [[1, 2]])
    twin = keras.Model(image, layers.Dense(3)(x_mean))
    twin.layers[-1].set_weights(model.layers[-1].get_weights())
    np.testing.assert_allclose(found.maps, xaicore.explain(twin, pictures(), [[1, 2]], method="fullgrad").maps, **CLOSE)


def compiled(function):
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function)
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    return function


class Compiled(keras.Model):
    """A `call` of its own, compiled by the user's own hand."""

    def __init__(self):
        super().__init__()
        self.conv, self.dense = layers.Conv2D(4, 3, name="conv"), layers.Dense(3, name="dense")
        self.features = compiled(lambda x: ops.relu(self.conv(x)))
        self.conv.build((None, 6, 9, 1))
        self.dense.build((None, 4))
        settle(self)

    def call(self, x):
        return self.dense(ops.mean(self.features(x), axis=(1, 2)))


@pytest.mark.skipif(BACKEND == "torch", reason="nothing is compiled")
def test_layers_inside_of_a_compiled_part_are_missed_and_the_method_says_so():
    model, x = Compiled(), pictures(1)
    model(x)
    assert list(KerasBackend(model).biases(x)) == ["dense"]
    with pytest.raises(xaicore.MethodError, match="the terms of the input and of 1 layers add up to"):
        xaicore.explain(model, x, method="fullgrad")


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's run as plain ones where all layers lie inside")
def test_a_model_that_is_compiled_as_a_whole():
    import tensorflow as tf

    class Whole(Subclassed):
        @tf.function
        def call(self, x):
            return self.dense(ops.mean(self.features(x), axis=(1, 2)))

    model = Whole()
    check_complete(model, pictures(1), ["conv1", "conv2", "dense"])
    assert traces_of(model).facts["inline"]


@pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow makes forward derivatives of backward ones")
def test_a_layer_that_has_no_forward_derivative_has_no_bias():
    class Rounding(layers.Layer):
        def call(self, x):
            if BACKEND == "jax":
                import jax

                rounded = jax.custom_vjp(jax.numpy.floor)
                rounded.defvjp(lambda x: (jax.numpy.floor(x), None), lambda _, gradient: (gradient,))
                return rounded(x)
            return _Round.apply(x)

    model = functional(lambda x: layers.Dense(3, name="dense")(mean(Rounding()(layers.Conv2D(4, 3, name="conv")(x)))))
    assert list(KerasBackend(model).biases(pictures(1))) == ["conv", "dense"]


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value):
        return value.round()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


def test_a_net_of_gates_is_refused():
    def net(x):
        x = layers.Conv2D(8, 3)(x)
        return layers.Dense(3)(mean(layers.Multiply()([x, layers.Conv2D(8, 1, activation="sigmoid")(x)])))

    model = functional(net)
    with pytest.raises(xaicore.MethodError, match=r"layers add up to .* such as attention, gates.*integrated"):
        xaicore.explain(model, pictures(), method="fullgrad")


def test_half_precision():
    """The terms of a net of half precision are those of the same net in full."""
    policy = keras.config.dtype_policy()
    models = []
    for name in ("float32", "mixed_float16"):
        keras.config.set_dtype_policy(name)
        try:
            models.append(functional(residual))
        finally:
            keras.config.set_dtype_policy(policy)
    full, half = (KerasBackend(model).biases(pictures(1)) for model in models)
    assert list(half) == list(full)
    for name, bias in full.items():
        assert half[name].dtype == np.float32
        np.testing.assert_allclose(half[name], bias, atol=0.02)


def test_a_net_of_tokens_has_the_bias_of_its_patches():
    def net(x):
        x = layers.Reshape((6, 5))(layers.Conv2D(5, 3, strides=3, name="patches")(x))
        x = x + layers.Dense(5, activation="gelu", name="mlp")(layers.LayerNormalization(name="norm")(x))
        return layers.Dense(3, name="dense")(ops.mean(x, axis=1))

    check_complete(functional(net), pictures(1), ["patches", "norm", "mlp", "dense"])


def test_frames_of_a_clip_each_have_a_row():
    def net(x):
        x = layers.TimeDistributed(layers.Conv2D(4, 3, activation="relu", name="conv"), name="frames")(x)
        return layers.Dense(3, name="dense")(ops.mean(x, axis=(1, 2, 3)))

    model = functional(net, (2, 6, 9, 1))
    x = np.random.default_rng(0).normal(size=(1, 2, 6, 9, 1)).astype(np.float32)
    found = KerasBackend(model).biases(x)
    assert {name: bias.shape for name, bias in found.items()} == {"frames/conv": (2, 4, 7, 4), "dense": (1, 3)}


@pytest.mark.parametrize("trained", [False, True])
def test_the_model_is_left_as_it_was(unchanged, trained):
    model = functional(residual)
    if trained:
        model.compile("adam", "mse")
        model.fit(pictures(), np.zeros((2, 4)), verbose=0)
    backend = KerasBackend(model)
    backend.observe(pictures())
    with unchanged(model):
        backend.biases(pictures())
    assert not traces_of(model).facts.get("inline")


def test_also_after_an_exception(unchanged):
    class Stopping(layers.Layer):
        stops = False

        def call(self, x):
            if self.stops:
                raise KeyboardInterrupt
            return x

    stopping = Stopping()
    model = functional(lambda x: layers.Dense(3)(mean(stopping(layers.Conv2D(4, 3)(x)))))
    backend = KerasBackend(model)
    backend.observe(pictures())
    object.__setattr__(stopping, "stops", True)
    with unchanged(model), pytest.raises(KeyboardInterrupt):
        backend.biases(pictures())


def test_the_plain_net():
    """Without half of its biases, a net has the other half alone."""
    model = conv_gap_dense()
    model.get_layer("conv2").bias.assign(np.zeros(5))
    check_complete(model, pictures(1), ["conv1", "dense"])

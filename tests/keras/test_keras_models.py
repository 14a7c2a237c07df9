"""The shapes that real models come in: topologies, inputs, outputs, precisions."""

import contextlib
import gc
import warnings
import weakref
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras_arranged import KerasBackend
from keras_nets import (
    BACKEND,
    CLOSE,
    Fixed,
    Residual,
    Subclassed,
    TakesSeveral,
    body,
    body_model,
    channels_first,
    conv_gap_dense,
    features,
    functional,
    gradcam,
    head,
    logits,
    mean,
    needs_onednn,
    numpy,
    pictures,
    rows_of,
    run,
    settle,
    slope_agrees,
    softmax,
    truth,
)

import xaicore
from xaicore import targets

PAIRS = np.array([[0, 1], [2, 0]])


def expected(x, c=1):
    return gradcam(conv_gap_dense(), x, [[c]] * len(x))[:, 0]


@dataclass
class Case:
    """A model and a layer inside of it; `default` is the one that is taken when none is named."""

    model: Any
    layer: str
    default: str | None = None
    x: Any = None
    axis: int = -1
    choose: Any = None
    output: Any = None

    def __post_init__(self):
        self.default = self.default or self.layer
        self.x = pictures() if self.x is None else self.x


TOPOLOGIES = {}


def topology(build):
    TOPOLOGIES[build.__name__] = build
    return build


@topology
def any_size():
    return Case(conv_gap_dense(size=(None, None)), "relu1", "relu2")


@topology
def sequential():
    parts = [keras.Input((6, 9, 1)), layers.Conv2D(4, 3, name="conv"), layers.ReLU(name="relu")]
    return Case(settle(keras.Sequential([*parts, layers.GlobalMaxPooling2D(), layers.Dense(3)])), "relu")


@topology
def sequential_that_was_called():
    model = keras.Sequential([layers.Conv2D(4, 3, name="conv"), layers.Flatten(), layers.Dense(3)])
    model(pictures())
    return Case(settle(model), "conv")


@topology
def nested():
    model = keras.Sequential([keras.Input((6, 9, 1)), body_model(), layers.GlobalAveragePooling2D(), layers.Dense(3)])
    return Case(settle(model), "body/relu2", "body")


@topology
def twice_nested():
    inner = keras.Sequential([body_model(), layers.Conv2D(4, 1, name="last")], name="inner")
    outer = keras.Sequential([inner, layers.MaxPooling2D(3, name="pool")], name="outer")
    model = keras.Sequential([keras.Input((6, 9, 1)), outer, layers.Flatten(), layers.Dense(3)])
    return Case(settle(model), "outer/inner/body/relu1", "outer/inner")


@topology
def nested_sequential_in_functional():
    block = keras.Sequential([layers.Conv2D(4, 3, name="conv"), layers.ReLU(name="relu")], name="block")
    return Case(functional(lambda i: head(layers.MaxPooling2D(2)(block(i)))), "block/conv", "block")


@topology
def backbone_with_several_outputs():
    i = keras.Input((6, 9, 1))
    low = layers.Conv2D(4, 3, padding="same", name="low")(i)
    high = layers.Conv2D(4, 3, padding="same", name="high")(layers.AveragePooling2D(3)(low))
    backbone = keras.Model(i, [low, high], name="backbone")

    def whole(i):
        low, high = backbone(i)
        return head(layers.Add(name="add")([layers.MaxPooling2D(3)(low), high]))

    return Case(functional(whole), "backbone/low", "add")


@topology
def subclassed():
    return Case(Subclassed(), "relu1", "relu2")


class OfBlocks(keras.Model):
    """Layers in a list, a dictionary and a block."""

    def __init__(self):
        super().__init__()
        self.convs = [layers.Conv2D(4, 3, padding="same", name=f"conv_{i}") for i in range(2)]
        self.others = {"norm": layers.BatchNormalization(name="norm")}
        self.block = keras.Sequential([layers.Conv2D(4, 1, name="conv"), layers.ReLU(name="relu")], name="block")
        self.dense = layers.Dense(3)
        self(pictures())
        settle(self)

    def call(self, x, training=None):
        for conv in self.convs:
            x = conv(x)
        x = self.block(self.others["norm"](x, training=training))
        return self.dense(ops.max(x, axis=(1, 2)))


@topology
def subclassed_with_containers():
    return Case(OfBlocks(), "conv_1", "block")


@topology
def block_inside_a_subclassed_model():
    return Case(OfBlocks(), "block/conv", "block")


@topology
def residual_blocks():
    def whole(i):
        x = layers.Conv2D(4, 1, name="stem")(i)
        return head(Residual(name="two")(Residual(name="one")(x)))

    return Case(functional(whole), "one/norm", "two")


@topology
def connection_across_the_layer():
    def whole(i):
        a = layers.Conv2D(5, 1, name="across")(i)
        return head(layers.Multiply(name="product")([a, body(i)]))

    return Case(functional(whole), "relu1", "product")


@topology
def branches():
    def whole(i):
        left, right = layers.Conv2D(4, 3, padding="same", name="left")(i), layers.Conv2D(3, 1, name="right")(i)
        return head(layers.Concatenate(name="both")([left, layers.ReLU()(right)]))

    return Case(functional(whole), "right", "both")


@topology
def shared_layer():
    def whole(i):
        conv = layers.Conv2D(1, 3, padding="same", name="conv")
        return layers.Dense(3)(layers.Flatten()(layers.Activation("tanh", name="tanh")(conv(conv(conv(i))))))

    return Case(functional(whole), "conv", "tanh")


@topology
def siamese():
    backbone = body_model("backbone")

    def whole(a, b):
        return layers.Dense(3)(layers.Subtract()([layers.GlobalMaxPooling2D()(backbone(part)) for part in (a, b)]))

    model = functional(whole, (6, 9, 1), (6, 9, 1))
    return Case(model, "backbone/relu1", "backbone", [pictures(), 2 * pictures()[::-1]])


@topology
def strides_and_groups():
    def whole(i):
        x = layers.Conv2D(4, 3, strides=2, name="conv")(i)
        x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(x)
        x = layers.SeparableConv2D(5, 3, padding="same", name="separable")(layers.BatchNormalization()(x))
        x = layers.Conv2DTranspose(4, 2, strides=2, name="transposed")(layers.LeakyReLU()(x))
        return head(layers.PReLU(name="prelu")(layers.GroupNormalization(2)(x)))

    return Case(functional(whole), "depthwise", "prelu")


@topology
def squeeze_and_excitation():
    def whole(i):
        a = body(i)
        gate = layers.Dense(5, activation="sigmoid")(layers.Dense(2, activation="relu")(mean(a)))
        return layers.Dense(3)(layers.Flatten()(layers.Multiply(name="scaled")([a, layers.Reshape((1, 1, 5))(gate)])))

    return Case(functional(whole), "relu2", "scaled")


@topology
def norm_and_dense_at_every_position():
    def whole(i):
        x = stem = layers.Conv2D(6, 2, name="stem")(i)
        x = layers.LayerNormalization(name="norm")(layers.DepthwiseConv2D(3, padding="same")(x))
        x = layers.Dense(6, name="shrink")(layers.Activation("gelu")(layers.Dense(8, name="grow")(x)))
        return head(layers.Add(name="sum")([x, stem]))

    return Case(functional(whole), "grow", "sum")


@topology
def operations_and_lambda():
    def whole(i):
        x = ops.relu(layers.Conv2D(4, 3, name="conv")(i) * 2 + 1)
        return head(layers.Lambda(lambda x: ops.square(x), name="square")(x))

    return Case(functional(whole), "conv", "square")


@topology
def preprocessing_inside():
    def whole(i):
        x = layers.Rescaling(1 / 2, offset=-1)(layers.RandomFlip()(layers.CenterCrop(5, 7)(i)))
        x = layers.Normalization(mean=[0.1], variance=[0.3])(layers.GaussianNoise(1.0)(x))
        x = layers.SpatialDropout2D(0.5, name="dropped")(layers.Conv2D(4, 3, name="conv")(x))
        return layers.Dropout(0.5)(head(x))

    return Case(functional(whole), "conv", "dropped")


@topology
def frames():
    def whole(i):
        x = layers.TimeDistributed(layers.Conv2D(4, 3, name="conv"), name="each")(i)
        return layers.Dense(3)(layers.GlobalAveragePooling3D()(layers.ReLU(name="relu")(x)))

    x = np.random.default_rng(0).normal(size=(2, 3, 6, 9, 1)).astype(np.float32)
    return Case(functional(whole, (3, 6, 9, 1)), "each", "relu", x)


@topology
def recurrent_behind():
    def whole(i):
        x = layers.Conv2D(4, 3, name="conv")(i)
        columns = layers.Reshape((7, 16))(layers.Permute((2, 1, 3), name="turned")(x))
        return layers.Dense(3)(layers.SimpleRNN(4)(columns))

    return Case(functional(whole), "conv", "any")  # what comes after the last map is a sequence


@topology
def reads_the_batch_size():
    return Case(Fixed(), "relu1", "relu2")


@topology
def layer_with_several_outputs():
    return Case(TakesSeveral(), "several")


@topology
def keyword_arguments_inside():
    class Net(Subclassed):
        def features(self, x):
            return self.relu2(inputs=self.conv2(inputs=self.relu1(inputs=self.conv1(inputs=x))))

    return Case(Net(), "conv2", "relu2")


@topology
def wrapped_layer():
    def whole(i):
        return head(layers.SpectralNormalization(layers.Conv2D(4, 3, name="conv"), name="spectral")(i))

    return Case(functional(whole), "spectral")


@topology
def overwritten_attribute():
    model = Subclassed(built=False)
    model.conv1 = layers.Conv2D(4, 3, padding="same", name="unused")
    model.conv1 = layers.Conv2D(4, 3, padding="same", name="conv1")  # the others stay in `_layers`, never built
    model(pictures())
    for name in ("conv1", "conv2", "dense"):
        for mine, theirs in zip(getattr(model, name).weights, getattr(Subclassed(), name).weights, strict=True):
            mine.assign(theirs)
    return Case(model, "relu1", "relu2")


@topology
def subclass_of_functional():
    class Trained(keras.Model):
        def train_step(self, data):
            raise AssertionError("not for explaining")

    i = keras.Input((6, 9, 1))
    return Case(settle(Trained(i, head(body(i)))), "relu1", "relu2")


@topology
@needs_onednn
def channels_first_layers():
    def whole(i):
        x = layers.Conv2D(4, 3, padding="same", data_format="channels_first", name="conv")(i)
        x = layers.BatchNormalization(axis=1, name="norm")(layers.ReLU(name="relu")(x))
        x = layers.AveragePooling2D(3, data_format="channels_first")(x)
        return layers.Dense(3)(layers.GlobalMaxPooling2D(data_format="channels_first")(layers.ReLU(name="last")(x)))

    return Case(functional(whole, (1, 6, 9)), "relu", "last", channels_first(pictures()), axis=1)


@topology
def many_inputs():
    def whole(image, numbers, token):
        a = body(image)
        gate = layers.Dense(5)(layers.Concatenate()([numbers, layers.Flatten()(layers.Embedding(4, 3)(token))]))
        return layers.Dense(3)(layers.Multiply()([mean(a), gate]))

    numbers = np.random.default_rng(0).normal(size=(2, 2)).astype(np.float32)
    model = functional(whole, (6, 9, 1), (2,), (1,))
    return Case(model, "relu1", "relu2", [pictures(), numbers, np.array([[1], [3]], np.int32)])


@topology
def second_of_several_outputs():
    def whole(i):
        aside = layers.Conv2D(4, 3, name="conv")(i)
        return [mean(body(i)), layers.Dense(3, name="scores")(layers.Flatten()(aside))]

    return Case(functional(whole), "conv", "any", choose=lambda y: y[1], output=1)


@pytest.mark.parametrize(
    "build",
    [pytest.param(build, id=name, marks=getattr(build, "pytestmark", ())) for name, build in TOPOLOGIES.items()],
)
def test_activations_and_gradients_equal_the_oracle(build):
    case = build()
    model, x, choose = case.model, case.x, case.choose or (lambda y: y)
    a, g = truth(model, x, case.layer, PAIRS, choose)
    if BACKEND != "jax":  # where it takes long to compile; the oracle is the same everywhere
        assert slope_agrees(model, x, case.layer, PAIRS, g, choose)
    backend = KerasBackend(model, case.output)
    aim = targets.Classes(PAIRS)
    given = backend.capture(x, [case.layer], lambda outputs, kind: aim.aim(outputs, kind).direction)
    np.testing.assert_allclose(given.outputs, numpy(choose(run(model, x))), **CLOSE)
    np.testing.assert_allclose(given.activations[case.layer], channels_first(a, case.axis), **CLOSE)
    at = case.axis if case.axis < 0 else case.axis + 1
    np.testing.assert_allclose(given.gradients[case.layer], channels_first(g, at, 2), **CLOSE)
    assert np.abs(given.gradients[case.layer]).max() > 1e-5
    found = backend.layers(x)
    assert case.default == "any" or xaicore.default_layer(found) == case.default
    shapes = {layer.name: layer.shape for layer in found}
    is_listed = case.layer in shapes  # else it shares its output with what is around it
    if is_listed and len(shapes[case.layer]) == given.activations[case.layer].ndim:  # frames are listed as rows
        assert shapes[case.layer][1:] == given.activations[case.layer].shape[1:]


@pytest.mark.parametrize("wrap", [lambda model: model, lambda model: keras.Sequential([model])], ids=["", "nested"])
def test_a_layer_that_only_a_call_builds(wrap):
    """Symbolic tensors do not call what a layer with shapes of its own has inside."""

    class Doubled(layers.Layer):
        def __init__(self):
            super().__init__(name="doubled")
            self.sum = layers.Add()

        def build(self, shape):
            self.built = True

        def compute_output_shape(self, shape):
            return shape

        def call(self, x):
            return self.sum([x, x])

    doubled = Doubled()
    model = wrap(functional(lambda i: head(doubled(body(i)))))
    assert not doubled.sum.built
    for _ in range(2):
        explanation = xaicore.explain(model, pictures(), 1)
        np.testing.assert_allclose(explanation.outputs, numpy(run(model, pictures())), **CLOSE)
        assert explanation.maps.any()


def test_a_model_that_was_never_built_gets_built_and_is_explained():
    model = keras.Sequential([layers.Conv2D(4, 3), layers.ReLU(name="relu"), layers.Flatten(), layers.Dense(3)])
    explanation = xaicore.explain(model, pictures(), 1, method="hirescam")
    assert model.built
    a, g = truth(model, pictures(), "relu", [[1], [1]])
    np.testing.assert_allclose(explanation.maps, np.maximum((a * g[:, 0]).sum(-1), 0), **CLOSE)


# -- inputs


class TwoArguments(keras.Model):
    """(shift, image, scale): the picture is the second argument."""

    def __init__(self):
        super().__init__()
        self.net = conv_gap_dense()

    def call(self, shift, image, scale=1.0, training=None):
        return self.net(image) * scale + shift


SHIFT = np.zeros((2, 3), np.float32)


@pytest.mark.parametrize(
    ("x", "scale"),
    [
        ((SHIFT, pictures()), 1),
        ({"image": pictures(), "shift": SHIFT}, 1),
        ({"image": pictures(), "shift": SHIFT, "scale": np.float32(2)}, 2),
    ],
    ids=["positional", "keywords", "keywords with a number"],
)
def test_arguments_of_a_subclassed_model(x, scale):
    model = TwoArguments()
    model(SHIFT, pictures())
    explanation = xaicore.explain(model, x, 1)
    assert explanation.layer == "net/relu2"
    np.testing.assert_allclose(explanation.maps, scale * expected(pictures()), **CLOSE)
    assert explanation.input_size == (6, 9)
    assert explanation.images.shape == (2, 6, 9, 3)


class OneStructure(TwoArguments):
    def call(self, inputs):
        if isinstance(inputs, dict):
            return super().call(inputs["shift"], inputs["image"])
        return super().call(*inputs)


@pytest.mark.parametrize("kind", [tuple, list, lambda pair: dict(zip(["shift", "image"], pair, strict=True))])
def test_one_structure_of_a_subclassed_model(kind):
    x = kind([SHIFT, pictures()])
    model = OneStructure()
    model(x)
    np.testing.assert_allclose(xaicore.explain(model, x, 1).maps, expected(pictures()), **CLOSE)


def two_inputs(kind):
    image, shift = keras.Input((6, 9, 1), name="image"), keras.Input((3,), name="shift")
    y = layers.Add()([head(body(image)), shift])
    return settle(keras.Model(kind(image, shift), y))


@pytest.mark.parametrize(
    ("made", "passed"),
    [
        (lambda image, shift: [image, shift], lambda image, shift: [image, shift]),
        (lambda image, shift: [shift, image], lambda image, shift: (shift, image)),
        (lambda image, shift: (image, shift), lambda image, shift: (image, shift)),
        (lambda image, shift: {"a": image, "b": shift}, lambda image, shift: {"b": shift, "a": image}),
        (lambda image, shift: [image, shift], lambda image, shift: {"shift": shift, "image": image}),
    ],
    ids=["list", "tuple for a list", "tuple", "dictionary", "names of the inputs"],
)
def test_inputs_of_a_functional_model(made, passed):
    x = pictures()
    explanation = xaicore.explain(two_inputs(made), passed(x, SHIFT), 1)
    np.testing.assert_allclose(explanation.maps, expected(x), **CLOSE)
    assert explanation.images.shape == (2, 6, 9, 3)


def test_a_list_of_one():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras would rather have no list
        explanation = xaicore.explain(conv_gap_dense(), [pictures()], 1)
    np.testing.assert_allclose(explanation.maps, expected(pictures()), **CLOSE)


# -- outputs


def several(answer):
    i = keras.Input((6, 9, 1))
    y = head(body(i))
    return settle(keras.Model(i, answer(layers.Softmax(name="other")(layers.Dense(4, name="aside")(y)), y)))


@pytest.mark.parametrize(
    ("answer", "output"),
    [
        (lambda other, y: [other, y], 1),
        (lambda other, y: [other, y], -1),
        (lambda other, y: [other, y], "dense"),
        (lambda other, y: {"a": other, "b": y}, "b"),
        (lambda other, y: {"a": other, "b": y}, 1),
        (lambda other, y: [y], None),
    ],
)
def test_one_of_several_outputs(answer, output):
    explanation = xaicore.explain(several(answer), pictures(), 1, output=output)
    np.testing.assert_allclose(explanation.maps, expected(pictures()), **CLOSE)
    assert (explanation.outputs_kind, explanation.outputs.shape) == ("logits", (2, 3))


def test_the_link_of_the_chosen_output():
    model = several(lambda other, y: {"a": other, "b": y})
    for output, link, classes in (("a", "softmax", 4), ("b", None, 3)):
        given = KerasBackend(model, output).capture(pictures(), ["relu2"])
        assert (given.link, given.outputs.shape) == (link, (2, classes))


@pytest.mark.parametrize("answer", [lambda other, y: [other, y], lambda other, y: {"first": other, "second": y}])
def test_several_outputs_want_to_be_chosen_from(answer, unchanged):
    model, x = several(answer), pictures()
    names = ("first", "second") if isinstance(model.output, dict) else ("other|0", "dense|1")
    with unchanged(model):
        with pytest.raises(xaicore.BackendError, match=rf"2 outputs.*({names[0]}).*({names[1]}).*output="):
            xaicore.explain(model, x)
        with pytest.raises(xaicore.BackendError, match=rf"output='x' is none of.*({names[0]}).*({names[1]})"):
            xaicore.explain(model, x, output="x")
        with pytest.raises(xaicore.BackendError, match="output=2 is none of"):
            xaicore.explain(model, x, output=2)


# -- precisions


@contextlib.contextmanager
def policy(name):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("name", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_half_precision(name, unchanged):
    with policy(name):
        model = conv_gap_dense(end=lambda y: layers.Activation("softmax", dtype="float32")(y))
    x = pictures()
    with unchanged(model):
        explanation = xaicore.explain(model, x, [[1, 2]] * 2)
    tolerance = 3e-2 if "bf" in name else 4e-3
    reference = gradcam(conv_gap_dense(), x, [[1, 2]] * 2).reshape(4, 6, 9)
    np.testing.assert_allclose(explanation.maps, reference, atol=tolerance * reference.max())
    assert (explanation.outputs_kind, explanation.maps.dtype) == ("logits", np.float32)
    assert explanation.outputs.dtype == np.float32


@pytest.mark.parametrize("name", ["mixed_float16", "mixed_bfloat16"])
def test_a_cast_behind_the_end_does_not_hide_it(name):
    with policy(name):  # the layer behind the end turns its input into half precision again
        model = conv_gap_dense(
            end=lambda y: layers.Flatten()(layers.Activation("softmax", dtype="float32")(layers.Reshape((1, 3))(y)))
        )
    given = KerasBackend(model).capture(pictures(), ["relu2"])
    assert (given.outputs_kind, given.link) == ("logits", "softmax")
    z = logits(conv_gap_dense(), pictures())
    np.testing.assert_allclose(given.outputs - given.outputs[:, :1], z - z[:, :1], atol=5e-2 if "bf" in name else 5e-3)


def test_one_layer_of_half_precision_in_a_float32_model():
    i = keras.Input((6, 9, 1))
    x = layers.Conv2D(4, 3, padding="same", dtype="mixed_float16", name="conv")(i)
    model = settle(keras.Model(i, layers.Dense(3)(mean(layers.ReLU(name="relu", dtype="float32")(x)))))
    a, g = truth(model, pictures(), "relu", [[1], [1]])
    reference = np.maximum((a * g[:, 0]).sum(-1), 0)
    for name in ("conv", "relu"):
        maps = xaicore.explain(model, pictures(), 1, layer=name, method="hirescam").maps
        np.testing.assert_allclose(maps, reference, atol=4e-3 * reference.max())


def test_float16_keeps_gradients_that_it_could_not_hold():
    with policy("mixed_float16"):
        model = conv_gap_dense()
    dense = model.get_layer("dense")
    dense.kernel.assign(1e-4 * numpy(dense.kernel))  # over 54 positions: near what float16 can tell from 0 (6e-8)
    x = pictures()
    reference = gradcam(conv_gap_dense(), x, [[1], [1]])[:, 0] * 1e-4
    maps = xaicore.explain(model, x, 1).maps
    np.testing.assert_allclose(maps, reference, atol=2e-2 * reference.max())


def test_float16_where_the_multiple_overflows():
    with policy("mixed_float16"):
        model = conv_gap_dense(end=lambda y: layers.Rescaling(200.0)(y))
    x = pictures()
    maps = xaicore.explain(model, x, [[0, 1]] * 2).maps.reshape(2, 2, 6, 9)
    reference = 200 * gradcam(conv_gap_dense(), x, [[0, 1]] * 2)
    np.testing.assert_allclose(maps, reference, atol=5e-3 * reference.max())


def test_an_opaque_softmax_in_half_precision():
    with policy("mixed_float16"):
        model = Subclassed(end=ops.softmax)
    x = pictures()
    explanation = xaicore.explain(model, x, 1)
    w = rows_of(model)
    w = w[1] - w.mean(0) if explanation.outputs_kind == "probabilities" else w[1]
    reference = np.maximum(np.einsum("c,nchw->nhw", w, features(model, x)) / 54, 0)
    np.testing.assert_allclose(explanation.maps, reference, atol=2e-2 * reference.max())


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has float64 only where it is switched on for the process")
def test_float64():
    with policy("float64"):
        model = conv_gap_dense()
    explanation = xaicore.explain(model, pictures(), 1)
    np.testing.assert_allclose(explanation.maps, expected(pictures()), rtol=1e-6, atol=1e-8)
    assert explanation.maps.dtype == explanation.outputs.dtype == np.float32


# -- other lives of a model


def test_a_model_that_was_saved_and_loaded(tmp_path):
    def whole(i):
        x = Residual(name="block")(layers.Conv2D(4, 1)(i))
        return layers.Dense(3, activation="softmax")(mean(x))

    model, x = functional(whole), pictures()
    model.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    first, second = xaicore.explain(model, x, 1), xaicore.explain(again, x, 1)
    assert first.layer == second.layer == "block"
    assert first.maps.any()
    np.testing.assert_allclose(first.maps, second.maps, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(first.outputs, second.outputs, rtol=1e-6)


def test_a_frozen_model(unchanged):
    model, x = conv_gap_dense(activation="softmax"), pictures()
    maps = expected(x)
    model.trainable = False
    with unchanged(model):
        np.testing.assert_allclose(xaicore.explain(model, x, 1).maps, maps, **CLOSE)
    assert not any(layer.trainable for layer in model.layers)


def test_inference_whatever_the_model_says():
    class Training(Subclassed):
        """Dropout and batch normalisation that would run in training mode, were they not told."""

        def call(self, x, training=True):
            a = self.norm(self.features(x), training=training)
            return self.dense(self.dropout(ops.mean(a, axis=(1, 2)), training=training))

    model = Training(norm=layers.BatchNormalization(name="norm"), dropout=layers.Dropout(0.9))
    x = pictures()
    _, g = truth(model, x, "relu2", PAIRS)  # which calls with training=False
    scale = numpy(model.norm.gamma) / np.sqrt(numpy(model.norm.moving_variance) + 1e-3)
    np.testing.assert_allclose(g[:, :, 0, 0], (rows_of(model) * scale)[PAIRS] / 54, **CLOSE)
    aim = targets.Classes(PAIRS)
    given = KerasBackend(model).capture(x, ["relu2"], lambda outputs, kind: aim.aim(outputs, kind).direction)
    np.testing.assert_allclose(given.gradients["relu2"], channels_first(g, at=2), **CLOSE)
    np.testing.assert_allclose(given.outputs, numpy(run(model, x)), **CLOSE)


def test_quantised_to_eight_bits(unchanged):
    def whole(i):
        x = layers.Dense(6, activation="relu", name="positions")(layers.Conv2D(4, 3, name="conv")(i))
        return layers.Dense(3, activation="softmax", name="dense")(mean(x))

    model, x = functional(whole), pictures()
    float32 = xaicore.explain(model, x, 1, layer="conv").maps
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convolutions stay as they are
        model.quantize("int8")
    with unchanged(model):
        explainer = xaicore.Explainer(model, layer="conv")
        explanation = explainer(x, 1)
    np.testing.assert_allclose(explanation.maps, float32, atol=3e-2 * float32.max())
    assert (explanation.maps != float32).any()
    np.testing.assert_allclose(softmax(explanation.outputs), numpy(run(model, x)), atol=1e-5)
    a = KerasBackend(model).capture(x, ["positions"]).activations["positions"]
    np.testing.assert_allclose(a, channels_first(truth(model, x, "positions", PAIRS)[0]), **CLOSE)
    assert explanation.outputs_kind == "logits"


def test_a_model_quantised_after_it_was_explained_is_the_quantised_one():
    model, x = conv_gap_dense(), pictures()
    explainer = xaicore.Explainer(model, layer="relu2")
    before = explainer(x, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.quantize("int8")
    np.testing.assert_allclose(explainer(x, 1).outputs, numpy(run(model, x)), **CLOSE)
    assert (explainer(x, 1).outputs != before.outputs).any()


def test_new_weights_and_adapters_are_seen():
    model, x = conv_gap_dense(), pictures()
    explainer = xaicore.Explainer(model)
    np.testing.assert_allclose(explainer(x, 1).maps, expected(x), **CLOSE)
    model.set_weights([1.5 * weight for weight in model.get_weights()])
    np.testing.assert_allclose(explainer(x, 1).maps, gradcam(model, x, [[1], [1]])[:, 0], **CLOSE)
    dense = model.get_layer("dense")
    dense.enable_lora(2)
    dense.lora_kernel_b.assign(np.ones(dense.lora_kernel_b.shape))
    assert np.abs(rows_of(model) - numpy(dense._kernel).T).max() > 0.01
    for _ in range(2):
        np.testing.assert_allclose(explainer(x, 1).maps, gradcam(model, x, [[1], [1]])[:, 0], **CLOSE)
        np.testing.assert_allclose(explainer(x, 1).outputs, logits(model, x), **CLOSE)
        dense.lora_kernel_b.assign(2 * np.ones(dense.lora_kernel_b.shape))


@pytest.mark.parametrize("mode", ["full", "activations"])
def test_layers_that_are_computed_again_in_the_backward_pass(mode, unchanged):
    with keras.RematScope(mode=mode):
        model = conv_gap_dense()
    x = pictures()
    for name in ("relu2", "conv1"):
        with unchanged(model):
            maps = xaicore.explain(model, x, 1, layer=name, method="hirescam").maps
        a, g = truth(conv_gap_dense(), x, name, [[1], [1]])
        np.testing.assert_allclose(maps, np.maximum((a * g[:, 0]).sum(-1), 0), **CLOSE)


def test_nothing_is_alive_after_the_model():
    def once(build):
        model = build()
        explanation = xaicore.explain(model, pictures(), 1)
        return weakref.ref(model), explanation

    alive = [once(build) for build in (conv_gap_dense, Subclassed, conv_gap_dense)]
    gc.collect()
    assert all(model() is None for model, _ in alive)


def test_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xaicore.explain(conv_gap_dense(), pictures(), targets.TopK(2)).overlays()


@pytest.mark.parametrize("net", [conv_gap_dense, Subclassed])
def test_the_keras_backend_is_the_one_that_is_found(net):
    model = net()  # on torch also a torch.nn.Module
    assert type(xaicore.Explainer(model).backend) in KerasBackend.__mro__
    assert xaicore.Explainer(model).backend.name == "keras"
    explanation = xaicore.explain(model, pictures(), 1, backend="keras")
    np.testing.assert_allclose(explanation.maps, expected(pictures()), **CLOSE)


# -- keras.applications


def test_transfer_learning_without_unfreezing(unchanged):
    keras.utils.set_random_seed(0)
    base = keras.applications.VGG16(weights=None, include_top=False, input_shape=(64, 48, 3))
    base.trainable = False
    parts = [base, layers.GlobalAveragePooling2D(), layers.Dense(64, activation="relu"), layers.Dense(1, "sigmoid")]
    model = keras.Sequential([keras.Input((64, 48, 3)), *parts])
    x = np.random.default_rng(0).uniform(0, 255, (2, 64, 48, 3)).astype(np.float32)
    with unchanged(model):
        explanation = xaicore.explain(model, x, [[1, 0]] * 2, method="hirescam")
    assert explanation.layer == "vgg16/block5_conv3"
    assert not base.trainable

    def logit(p):
        return ops.log(p) - ops.log(1 - p)

    a, g = truth(model, x, "vgg16/block5_conv3", [[0], [0]], logit)
    evidence = (a * g[:, 0]).sum(-1)
    maps = explanation.maps.reshape(2, 2, 4, 3)
    scale = np.abs(evidence).max()
    assert scale > 0
    np.testing.assert_allclose(maps[:, 0], np.maximum(evidence, 0), rtol=1e-3, atol=1e-3 * scale)
    np.testing.assert_allclose(maps[:, 1], np.maximum(-evidence, 0), rtol=1e-3, atol=1e-3 * scale)
    p = numpy(run(model, x))[:, 0]
    np.testing.assert_allclose(explanation.scores.reshape(2, 2), np.stack([p, 1 - p], 1), atol=1e-5)


@pytest.mark.skipif(BACKEND == "jax", reason="takes long to compile, and nothing in it is special on JAX")
def test_a_published_architecture():
    model = keras.applications.MobileNet(weights=None, input_shape=(32, 64, 3), alpha=0.25, classes=5)
    settle(model)
    x = pictures(2, 3, 32, 64)
    explanation = xaicore.explain(model, x, [[0, 4]] * 2, method="hirescam", layer="conv_pw_11_relu")
    assert (explanation.outputs_kind, explanation.outputs.shape) == ("logits", (2, 5))
    assert xaicore.default_layer(xaicore.Explainer(model).backend.layers(x[:1])) == "conv_pw_13_relu"
    _, g = truth(model, x, "conv_pw_11_relu", [[0, 4]] * 2, lambda p: ops.log(p))
    np.testing.assert_allclose(explanation.scores.reshape(2, 2), numpy(run(model, x))[:, [0, 4]], rtol=1e-4, atol=1e-6)
    # The gradients of log p are those of the logits, less their mean under p: compare the difference of two classes.
    backend = KerasBackend(model)
    difference = np.broadcast_to(np.float32([-1, 0, 0, 0, 1]), (2, 1, 5))
    given = backend.capture(x, ["conv_pw_11_relu"], lambda outputs, kind: difference)
    reference = np.moveaxis(g[:, 1] - g[:, 0], -1, 1)
    np.testing.assert_allclose(
        given.gradients["conv_pw_11_relu"][:, 0], reference, rtol=1e-3, atol=1e-4 * np.abs(reference).max()
    )

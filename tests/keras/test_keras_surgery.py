"""cam_model: the body's features to the last bit, a dense layer on their mean, and the original left alone."""

import contextlib

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras_nets import needs_onednn

import xaicore
from xaicore_keras import cam_model


def images(n=4, size=12, seed=1, channels=3):
    return np.random.default_rng(seed).random((n, size, size, channels), np.float32)


def two_kinds():
    """Pictures of two classes that are easily told apart."""
    x = images(8)
    x[1::2, ..., 0] *= 3
    return x, np.arange(8) % 2


def settled(model):
    """The model with every weight and statistic away from where it began."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(weight.numpy() + rng.random(weight.shape, np.float32).astype(weight.dtype) / 4)
    return model


def body(x, prefix=""):
    """VGG in small."""
    a = layers.Conv2D(4, 3, padding="same", name=f"{prefix}conv1")(x)
    a = layers.Activation("relu", name=f"{prefix}relu1")(layers.BatchNormalization(name=f"{prefix}bn1")(a))
    a = layers.MaxPooling2D(name=f"{prefix}pool1")(a)
    a = layers.Conv2D(5, 3, activation="relu", padding="same", name=f"{prefix}conv2")(a)
    return layers.MaxPooling2D(name=f"{prefix}pool2")(a)


def head(a, classes=4):
    a = layers.Dense(8, activation="relu", name="fc1")(layers.Flatten(name="flat")(a))
    return layers.Dense(classes, activation="softmax", name="fc2")(layers.Dropout(0.5, name="drop")(a))


def functional():
    x = keras.Input((12, 12, 3), name="picture")
    return settled(keras.Model(x, head(body(x)), name="net"))


def sequential():
    return settled(
        keras.Sequential(
            [
                keras.Input((12, 12, 3)),
                layers.Rescaling(1 / 255),
                layers.Conv2D(4, 3, name="conv1"),
                layers.BatchNormalization(name="bn1"),
                layers.ReLU(name="relu1"),
                layers.AveragePooling2D(2, name="pool1"),
                layers.SpatialDropout2D(0.2, name="drop1"),
                layers.Flatten(name="flat"),
                layers.Dense(2, name="fc"),
            ]
        )
    )


def late():
    """Built by its first batch, whose size it keeps."""
    model = keras.Sequential([layers.Conv2D(4, 3, name="conv1"), layers.Flatten(), layers.Dense(2)])
    model(images(3))
    return settled(model)


def nested():
    x = keras.Input((12, 12, 3))
    inner = keras.Model(x, body(x), name="vgg")
    return settled(keras.Sequential([keras.Input((12, 12, 3)), layers.Rescaling(2.0), inner, layers.Flatten()]))


def twice_nested():
    """Inner models of one layer name each, and the middle one by keyword."""
    x = keras.Input((None, None, 3), name="x")
    inner = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(3, 3, name="conv")], name="inner")
    middle = keras.Model(x, layers.ReLU(name="relu")(layers.Conv2D(4, 1, name="conv")(inner(x))), name="middle")
    y = keras.Input((12, 12, 3))
    a = middle(inputs=layers.Conv2D(3, 1, name="conv")(y))
    return settled(keras.Model(y, layers.Dense(2)(layers.Flatten()(a))))


def skipping():
    """Operations, a layer that runs twice, a skip across it, a model of two outputs."""
    x = keras.Input((12, 12, 3))
    a = layers.Conv2D(4, 3, padding="same", name="first")(x)
    twice = layers.Conv2D(4, 3, padding="same", name="twice")
    b = ops.relu(twice(a) * 2 + a)
    c = ops.concatenate([twice(b), a[..., :2]], axis=-1)
    return settled(keras.Model(x, [layers.Dense(2)(layers.Flatten()(c)), b]))


def signals():
    x = keras.Input((15, 2))
    a = layers.Conv1D(4, 3, name="conv", activation="relu")(x)
    return settled(keras.Model(x, layers.Dense(2)(layers.Flatten()(layers.MaxPooling1D()(a)))))


def volumes():
    x = keras.Input((5, 4, 6, 1))
    a = layers.ReLU(name="relu")(layers.Conv3D(4, 3, padding="same", name="conv")(x))
    return settled(keras.Model(x, layers.Dense(2)(layers.GlobalMaxPooling3D()(a))))


def channels_first():
    """The activation does not know where its channels are, and Flatten says what it does not mean."""
    x = keras.Input((3, 12, 11))
    a = layers.Conv2D(4, 3, data_format="channels_first", name="conv")(x)
    return settled(keras.Model(x, layers.Dense(2)(layers.Flatten()(layers.Activation("relu", name="relu")(a)))))


def normalized():
    """Only the BatchNormalization knows."""
    x = keras.Input((3, 12, 11))
    a = layers.Activation("relu", name="relu")(layers.BatchNormalization(axis=1)(x))
    return settled(keras.Model(x, layers.Dense(2)(layers.Flatten()(a))))


def permuted():
    """Channels last, and first from there on; only the one that takes the map says so."""
    x = keras.Input((12, 11, 3))
    a = layers.Permute((3, 1, 2), name="permute")(layers.Conv2D(4, 3, name="conv")(x))
    a = layers.MaxPooling2D(data_format="channels_first", name="pool")(a)
    return settled(keras.Model(x, layers.Dense(2)(layers.Flatten()(a))))


def two_inputs():
    left, right = keras.Input((12, 12, 3), name="left"), keras.Input((2,), name="right")
    a = layers.Conv2D(2, 3, name="conv")(left) * layers.Reshape((1, 1, 2))(right)
    a = layers.Activation("relu", name="relu")(a)
    b = layers.Concatenate()([layers.Flatten()(a), right])
    return settled(keras.Model({"left": left, "right": right}, layers.Dense(2)(b)))


class Block(layers.Layer):
    """Layers inside of a layer, one of them frozen, and a function of the user's."""

    def __init__(self, filters, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.activation = keras.activations.get(activation)
        self.parts = [layers.Conv2D(filters, 3, name="a"), layers.BatchNormalization(name="b")]
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, x):
        for part in self.parts:
            x = part(x)
        return self.activation(x * self.scale)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "activation": "relu"}


def custom():
    """What a config alone does not hold."""

    class Local(layers.Layer):
        def call(self, x):
            return x - 0.5

        def compute_output_shape(self, shape):
            return shape

    normal = layers.Normalization(name="normal")
    normal.adapt(images(seed=5))
    x = keras.Input((12, 12, 3))
    a = layers.Lambda(lambda v: v * 3, name="lambda")(normal(x))
    a = Local(name="local")(layers.Conv2D(4, 3, activation=lambda v: v / 2, name="conv")(a))
    a = layers.TimeDistributed(Local(), name="each")(a)
    a = Block(4, lambda v: ops.tanh(v), name="block")(a)
    model = keras.Model(x, layers.Dense(2)(layers.Flatten()(a)))
    for weight in model.get_layer("block").weights:
        weight.assign(weight.numpy() + 0.1)
    return model


NETS = {
    # net: (model, layer=, path of the pooled layer, its name in the result, inputs)
    "functional": (functional, None, "conv2", "conv2", images()),
    "named": (functional, "relu1", "relu1", "relu1", images()),
    "pooled": (functional, "pool1", "pool1", "pool1", images()),
    "sequential": (sequential, None, "relu1", "relu1", images()),
    "late": (late, None, "conv1", "conv1", images(5)),
    "nested": (nested, None, "vgg/conv2", "conv2", images()),
    "a model": (nested, "vgg", "vgg/pool2", "pool2", images()),
    "twice nested": (twice_nested, None, "middle/relu", "relu", images()),
    "of one name": (twice_nested, "middle/inner/conv", "middle/inner/conv", "middle_inner_conv", images()),
    "skipping": (skipping, "twice", "twice", "twice", images()),
    "signals": (signals, None, "conv", "conv", np.random.default_rng(0).random((3, 15, 2), np.float32)),
    "volumes": (volumes, None, "relu", "relu", np.random.default_rng(0).random((3, 5, 4, 6, 1), np.float32)),
    "two inputs": (two_inputs, None, "relu", "relu", {"left": images(), "right": images()[:, 0, 0, :2]}),
    "channels first": (channels_first, None, "relu", "relu", np.random.default_rng(0).random((2, 3, 12, 11))),
    "normalized": (normalized, None, "relu", "relu", np.random.default_rng(0).random((2, 3, 12, 11))),
    "permuted": (permuted, "permute", "permute", "permute", np.random.default_rng(0).random((2, 12, 11, 3))),
    "custom": (custom, None, "block", "block", images()),
}
CHANNELS_FIRST = {"channels first", "normalized", "permuted"}


def find(model, path):
    for part in path.split("/"):
        model = model.get_layer(part)
    return model


@contextlib.contextmanager
def seen_at(layer):
    """What the layer gives, call by call."""
    seen, call = [], layer.call

    def hook(*args, **kwargs):
        seen.append(call(*args, **kwargs))
        return seen[-1]

    object.__setattr__(layer, "call", hook)
    try:
        yield seen
    finally:
        object.__delattr__(layer, "call")


def output_of(model, path, x):
    """A layer's last output in inference, straight from the model."""
    with seen_at(find(model, path)) as seen:
        model(x, training=False)
    return ops.convert_to_numpy(seen[-1])


def state(model):
    """Every layer and operation of a model, however deep: values, flags, and everything it refers to."""
    found, todo = {}, [model]
    while todo:
        part = todo.pop()
        if id(part) in found:
            continue
        attributes = {
            name: [id(value), *(map(id, value.values() if isinstance(value, dict) else value))]
            if isinstance(value, (dict, list, tuple, set))
            else id(value)
            for name, value in vars(part).items()
        }
        found[id(part)] = attributes
        if isinstance(part, keras.Layer):
            found[id(part)] = (attributes, [(v.trainable, v.numpy().tobytes()) for v in part.variables], part.trainable)
            todo += part._flatten_layers()
        todo += getattr(part, "operations", [])
    return found


@pytest.mark.parametrize(
    "net", [pytest.param(net, marks=needs_onednn) if net == "channels first" else net for net in NETS]
)
def test_a_dense_layer_on_the_mean_of_the_originals_features(net):
    make, layer, path, name, x = NETS[net]
    model = make()
    before = state(model)
    cam = cam_model(model, 3, activation=None, layer=layer)
    assert state(model) == before
    assert not {id(v) for v in model.variables} & {id(v) for v in cam.variables}
    maps = output_of(model, path, x)
    pooled = cam.get_layer("cam_pool").input
    assert pooled._keras_history.operation.name == name
    given = ops.convert_to_numpy(keras.Model(cam.input, pooled)(x, training=False))
    np.testing.assert_array_equal(given, maps)
    axes = tuple(range(2, maps.ndim)) if net in CHANNELS_FIRST else tuple(range(1, maps.ndim - 1))
    kernel, bias = (weight.numpy().astype(float) for weight in cam.get_layer("cam_dense").weights)
    y = ops.convert_to_numpy(cam(x, training=False))
    np.testing.assert_allclose(y, maps.astype(float).mean(axes) @ kernel + bias, rtol=1e-5, atol=1e-6)
    assert y.shape == (len(maps), 3)


def test_the_old_head_is_gone_and_other_sizes_fit_where_they_may():
    cam = cam_model(functional(), 2)
    names = ["picture", "conv1", "bn1", "relu1", "pool1", "conv2", "cam_pool", "cam_dense"]
    assert [layer.name for layer in cam.layers] == names
    assert cam.name == "net_cam"
    assert cam_model(late(), 2).input_shape == (None, 12, 12, 3)
    assert not cam.compiled
    x = keras.Input((None, None, 3))
    anysize = cam_model(keras.Model(x, layers.GlobalMaxPooling2D()(layers.Conv2D(4, 3)(x))), 2)
    assert anysize(images(2, 30)).shape == (2, 2)


def test_a_head_that_cannot_be_copied_is_not_copied():
    class Closed(layers.Layer):
        def get_config(self):
            raise AssertionError("copied")

        def call(self, x):
            return ops.mean(x, axis=(1, 2))

    x = keras.Input((12, 12, 3))
    model = keras.Model(x, Closed(name="closed")(layers.Conv2D(4, 3, name="conv")(x)))
    assert cam_model(model, 2).get_layer("conv")


def test_everything_learns_but_the_original():
    model = nested()
    cam = cam_model(model, 2)
    before, began = state(model), [weight.numpy() for weight in cam.weights]
    cam.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
    x, y = two_kinds()
    losses = cam.fit(x, y, epochs=8, batch_size=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2
    assert [np.array_equal(w.numpy(), b) for w, b in zip(cam.weights, began, strict=True)] == [False] * len(began)
    assert state(model) == before


def test_frozen_only_the_dense_layer_learns():
    model = functional()
    cam = cam_model(model, 2, freeze=True)
    assert [v.path for v in cam.trainable_variables] == ["cam_dense/kernel", "cam_dense/bias"]
    before, began = state(model), [weight.numpy() for weight in cam.weights]
    cam.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
    x, y = two_kinds()
    losses = cam.fit(x, y, epochs=8, batch_size=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    kept = [np.array_equal(w.numpy(), b) for w, b in zip(cam.weights, began, strict=True)]
    assert kept == [True] * (len(kept) - 2) + [False] * 2  # statistics of the BatchNorm among them
    assert state(model) == before
    assert all(layer.trainable for layer in model.layers)


def test_one_sigmoid_output_trains():
    cam = cam_model(sequential(), 1, "sigmoid")
    x, y = two_kinds()
    cam.compile(keras.optimizers.Adam(0.1), "binary_crossentropy")
    losses = cam.fit(x * 255, y, epochs=10, batch_size=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert cam.output_shape == (None, 1)


def test_flags_are_kept_where_nothing_is_frozen():
    model = custom()
    model.get_layer("conv").trainable = False
    model.get_layer("block").parts[0].trainable = False
    model.get_layer("block").scale.trainable = False
    cam = cam_model(model, 2)
    assert not cam.get_layer("conv").trainable
    parts = cam.get_layer("block").parts
    assert [part.trainable for part in parts] == [False, True]
    assert [v.path for v in cam.trainable_variables] == [
        "block/b/gamma",
        "block/b/beta",
        "cam_dense/kernel",
        "cam_dense/bias",
    ]


def test_a_model_called_for_inference_keeps_to_it():
    """`base(x, training=False)`: where fit says nothing else, the BatchNorm uses its statistics."""
    x = keras.Input((12, 12, 3))
    base = keras.Model(x, body(x), name="base")
    y = keras.Input((12, 12, 3))
    model = settled(keras.Model(y, layers.Flatten()(base(y, training=False))))
    cam = cam_model(model, 2)
    modes = [cam.get_layer(name)._inbound_nodes[0].arguments.kwargs.get("training") for name in ("bn1", "conv1")]
    assert modes == [False, None]


def test_activations():
    model = functional()
    for activation in ("softmax", keras.activations.softmax, "sigmoid", None):
        cam = cam_model(model, 3, activation)
        pooled = keras.Model(cam.input, cam.get_layer("cam_pool").output)
        mean = ops.convert_to_numpy(pooled(images(), training=False)).astype(float)
        z = mean @ cam.get_layer("cam_dense").kernel.numpy()
        softmax = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        expected = {"sigmoid": 1 / (1 + np.exp(-z)), None: z}.get(activation, softmax)
        np.testing.assert_allclose(ops.convert_to_numpy(cam(images())), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "float64"])
def test_precision(policy):
    """The body as it was; the new head in float32 at least, whatever the global policy is."""
    keras.config.set_dtype_policy(policy)
    try:
        model = functional()
    finally:
        keras.config.set_dtype_policy("float32")
    cam = cam_model(model, 2)
    head = "float64" if policy == "float64" else "float32"
    assert cam.get_layer("conv2").dtype_policy.name == policy
    assert [cam.get_layer(name).dtype_policy.name for name in ("cam_pool", "cam_dense")] == [head, head]
    maps = output_of(model, "conv2", images())
    pooled = ops.convert_to_numpy(keras.Model(cam.input, cam.get_layer("cam_pool").output)(images(), training=False))
    np.testing.assert_allclose(pooled, maps.astype(float).mean((1, 2)), rtol=1e-6)


def test_the_result_can_be_saved_and_cut_again(tmp_path):
    cam = cam_model(nested(), 2)
    cam.save(tmp_path / "cam.keras")
    again = keras.models.load_model(tmp_path / "cam.keras")
    np.testing.assert_array_equal(cam.predict(images(), verbose=0), again.predict(images(), verbose=0))
    assert [layer.name for layer in cam_model(again, 4).layers] == [layer.name for layer in cam.layers]


def test_vgg16_in_a_sequential():
    vgg = keras.applications.VGG16(weights=None, include_top=False, input_shape=(64, 64, 3))
    model = keras.Sequential([vgg, layers.Flatten(), layers.Dense(8, activation="relu"), layers.Dense(2)])
    cam = cam_model(model, 2, freeze=True)
    names = [layer.name for layer in vgg.layers[1:-1]]
    assert [layer.name for layer in cam.layers[1:]] == [*names, "cam_pool", "cam_dense"]
    x = images(1, 64)
    given = keras.Model(cam.input, cam.get_layer("block5_conv3").output)(x)
    np.testing.assert_array_equal(ops.convert_to_numpy(given), output_of(model, f"{vgg.name}/block5_conv3", x))
    assert cam_model(model, 2, layer=f"{vgg.name}/block1_conv2").get_layer("cam_dense").kernel.shape == (64, 2)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
def test_cam_explains_it(activation):
    model = nested()
    cam = cam_model(model, 4, activation)
    a = output_of(model, "vgg/conv2", images()).astype(float)
    w = cam.get_layer("cam_dense").kernel.numpy()
    before = state(cam)
    explanation = xaicore.explain(cam, images(), [[0, 3], [2, 1], [1, 0], [3, 3]], method="cam")
    gradcam = xaicore.explain(cam, images(), [[0, 3], [2, 1], [1, 0], [3, 3]])
    assert [v for _, v, _ in _layers(state(cam))] == [v for _, v, _ in _layers(before)]
    expected = np.einsum("ckn,nhwc->nkhw", w[:, [[0, 3], [2, 1], [1, 0], [3, 3]]].transpose(0, 2, 1), a)
    assert explanation.layer == gradcam.layer == "conv2"
    np.testing.assert_allclose(explanation.maps, np.maximum(expected, 0).reshape(8, 6, 6), rtol=1e-5, atol=1e-6)
    assert explanation.maps.max() > 0
    np.testing.assert_allclose(explanation.maps, 36 * gradcam.maps, rtol=1e-4, atol=1e-5)


def _layers(found):
    return [value for value in found.values() if isinstance(value, tuple)]


def test_cam_explains_both_classes_of_one_output():
    model = functional()
    cam = cam_model(model, 1, "sigmoid")
    maps = xaicore.explain(cam, images(), [[0, 1]] * 4, method="cam").maps.reshape(4, 2, 6, 6)
    m = output_of(model, "conv2", images()) @ cam.get_layer("cam_dense").kernel.numpy()[:, 0]
    np.testing.assert_allclose(maps[:, 1], np.maximum(m, 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(maps[:, 0], np.maximum(-m, 0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("net", ["signals", "volumes", pytest.param("channels first", marks=needs_onednn)])
def test_cam_explains_every_layout(net):
    make, _, path, name, x = NETS[net]
    model = make()
    cam = cam_model(model, 3)
    explanation = xaicore.explain(cam, x, 1, method="cam")
    a = output_of(model, path, x)
    a = np.moveaxis(a, 1, -1) if net in CHANNELS_FIRST else a
    assert explanation.layer == name
    expected = np.maximum(a @ cam.get_layer("cam_dense").kernel.numpy()[:, 1], 0)
    np.testing.assert_allclose(explanation.maps, expected, rtol=1e-4, atol=1e-5)


HEADS = [
    (0, "softmax", "classes=0: expected a whole number, 1 or more"),
    (2.0, "softmax", "classes=2.0: expected a whole number"),
    (True, "sigmoid", "classes=True: expected"),
    (2, "softmacks", r"activation='softmacks' is unknown to Keras; expected 'softmax', 'sigmoid', None"),
    (2, 3, "activation=3 is unknown to Keras"),
    (1, "softmax", "softmax over one class is always 1: use activation='sigmoid'"),
    (1, layers.Softmax(), "softmax over one class is always 1"),
    (1, keras.activations.log_softmax, "softmax over one class is always 1"),
]


def test_heads_that_make_no_sense():
    model = functional()
    for classes, activation, message in HEADS:
        with pytest.raises(xaicore.InputError, match=message):
            cam_model(model, classes, activation)


def test_numpys_whole_numbers_are_whole_numbers():
    assert cam_model(functional(), np.int64(2)).output_shape == (None, 2)


LAYERS = [
    (nested, "vgg/conv", "no layer called 'vgg/conv' in Sequential; nearest names: .*vgg/conv1"),
    (nested, "conv2", "no layer called 'conv2' in Sequential; nearest names: vgg/conv2"),
    (functional, "fc1", r"'fc1' gives \(1, 8\), which is no map of an input of size \(12, 12\): .* 2 spatial axes"),
    (custom, "block/a", r"'block/a' lies inside 'block' \(Block\), which is copied as a whole: name 'block'"),
]


def test_layers_that_do_not_fit():
    for make, layer, message in LAYERS:
        model = make()
        before = state(model)
        with pytest.raises(xaicore.LayerError, match=message):
            cam_model(model, 2, layer=layer)
        assert state(model) == before


def test_the_last_run_of_a_layer_counts():
    x = keras.Input((12, 12, 3))
    relu = layers.ReLU(name="relu")
    a = relu(layers.Conv2D(4, 3, name="conv")(x))
    point = layers.GlobalAveragePooling2D(keepdims=True, name="point")(a)
    model = keras.Model(x, relu(layers.Dense(2)(layers.Flatten()(point))))
    with pytest.raises(xaicore.LayerError, match=r"'relu' gives \(1, 2\), which is no map"):
        cam_model(model, 2, layer="relu")
    with pytest.raises(xaicore.LayerError, match=r"'point' gives \(1, 1, 1, 4\).*more than one position"):
        cam_model(model, 2, layer="point")
    assert cam_model(model, 2).get_layer("cam_pool").input._keras_history.operation.name == "conv"


def test_models_without_a_map_or_with_tokens_after_it():
    x = keras.Input((4, 4, 1))
    flat = keras.Model(x, layers.Dense(2, name="fc")(layers.Flatten(name="flat")(x)))
    with pytest.raises(xaicore.LayerError, match=r"no layer gives a map .* The last ones: flat \(1, 16\)"):
        cam_model(flat, 2)
    x = keras.Input((None, None, 1))
    a = layers.Reshape((-1, 8), name="tokens")(layers.Conv2D(8, 2, 2, name="patches")(x))
    vit = keras.Model(x, layers.GlobalAveragePooling1D()(layers.LayerNormalization(name="norm")(a)))
    with pytest.raises(
        xaicore.LayerError, match=r"tokens lead to the output, 'norm' \(1, 12544, 8\), and cam_model pools maps"
    ):
        cam_model(vit, 2)
    assert cam_model(vit, 2, layer="patches").output_shape == (None, 2)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv, self.dense = layers.Conv2D(4, 3, name="conv"), layers.Dense(2)

    def call(self, x):
        return self.dense(ops.mean(ops.relu(self.conv(x)), axis=(1, 2)))


class Trained(keras.Model):
    """Functional all the same."""

    def train_step(self, *args):
        raise NotImplementedError


class Other(Trained):
    def call(self, x):
        return super().call(x) + 1


def test_subclassed_models_are_told_what_to_do():
    model = Subclassed()
    with pytest.raises(
        xaicore.BackendError, match=r"functional or Sequential model, and Subclassed is subclassed.*call"
    ):
        cam_model(model, 2)
    x = keras.Input((12, 12, 3))  # as the message says
    cam = cam_model(keras.Model(x, model.call(x)), 2)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(keras.Model(cam.input, cam.get_layer("cam_pool").input)(images())),
        np.maximum(ops.convert_to_numpy(model.conv(images())), 0),
    )


def test_a_subclass_of_a_functional_model_is_one_unless_it_calls_itself_otherwise():
    x = keras.Input((12, 12, 3))
    cam = cam_model(Trained(x, head(body(x))), 2)
    assert [layer.name for layer in cam.layers[-3:]] == ["conv2", "cam_pool", "cam_dense"]
    with pytest.raises(xaicore.BackendError, match="Other is subclassed"):
        cam_model(Other(x, head(body(x, "b"))), 2)
    inner = Other(x, body(x, "c"), name="inner")
    y = keras.Input((12, 12, 3))
    model = settled(keras.Model(y, layers.Flatten()(layers.ReLU(name="relu")(inner(y)))))
    cam = cam_model(model, 2)
    given = ops.convert_to_numpy(keras.Model(cam.input, cam.get_layer("relu").output)(images()))
    np.testing.assert_array_equal(given, output_of(model, "relu", images()))


def test_models_that_cannot_be_cut():
    with pytest.raises(xaicore.BackendError, match=r"needs a keras\.Model, not a Dense"):
        cam_model(layers.Dense(2), 2)
    with pytest.raises(
        xaicore.BackendError, match=r"'new' has no input shape yet: begin it with keras\.Input\(shape\)"
    ):
        cam_model(keras.Sequential([layers.Conv2D(4, 3), layers.Flatten()], name="new"), 2)


def test_layers_that_cannot_be_copied():
    class Secret(layers.Layer):
        def __init__(self, inner, **kwargs):
            super().__init__(**kwargs)
            self.inner = inner

        def call(self, x):
            return self.inner(x)

    class Sharing(Secret):
        def get_config(self):
            return {**super().get_config(), "inner": self.inner}

    def net(layer):
        x = keras.Input((12, 12, 3))
        return keras.Model(x, layers.Flatten()(layer(x)))

    with pytest.raises(
        xaicore.BackendError,
        match=r"layer 'secret' \(Secret\) cannot be copied: NotImplementedError: [\s\S]*Its class needs a get_config",
    ):
        cam_model(net(Secret(layers.Conv2D(4, 3), name="secret")), 2)
    model = net(Sharing(layers.Conv2D(4, 3), name="sharing"))
    before = [v.numpy() for v in model.variables]
    with pytest.raises(xaicore.BackendError, match="reuses the layer's own weights, which two models would then train"):
        cam_model(model, 2)
    assert all(np.array_equal(v.numpy(), b) for v, b in zip(model.variables, before, strict=True))

"""What outputs and axes mean, by value: tokens, frames, several pictures, losses, CAM's own layer, spectrograms."""

import re

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras_nets import CLOSE, channels_first, pictures, settle, truth

import xaicore
from xaicore_keras.backend import KerasBackend
from xaicore_keras.losses import trained_for


class ClassToken(layers.Layer):
    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), name="token")

    def call(self, x):
        return ops.concatenate([ops.repeat(self.token, ops.shape(x)[0], axis=0), x], axis=1)


class Norm(layers.Layer):
    """A norm of one's own over the last axis."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), name="scale", initializer="ones")

    def call(self, x):
        return self.scale * x / ops.sqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + 1e-6)


def vit(with_class_token):
    """Patches of 3 x 3 of a picture of 6 x 9: a grid of 2 x 3."""
    i = keras.Input((6, 9, 1))
    t = layers.Reshape((-1, 8), name="flat")(layers.Conv2D(8, 3, 3, name="patches")(i))
    if with_class_token:
        t = ClassToken(name="with_token")(t)
    for block in range(2):
        n = Norm(name=f"norm{block}")(t)
        t = layers.Add(name=f"mixed{block}")([t, layers.MultiHeadAttention(2, 4, name=f"attention{block}")(n, n)])
        t = layers.Add(name=f"block{block}")([t, layers.Dense(8, activation="gelu", name=f"mlp{block}")(t)])
    t = Norm(name="norm")(t)
    y = t[:, 0] if with_class_token else layers.GlobalAveragePooling1D()(t)
    return settle(keras.Model(i, layers.Dense(3, name="dense")(y)))


@pytest.mark.parametrize(("with_class_token", "layer"), [(True, "norm1"), (False, "norm")])
def test_tokens_are_explained_where_the_gradient_reaches_the_patches(with_class_token, layer, unchanged):
    model, x, prefix = vit(with_class_token), pictures(), int(with_class_token)
    with unchanged(model):
        explanation = xaicore.explain(model, x, 1)
    assert explanation.layer == layer
    a, g = truth(model, x, layer, [[1], [1]])
    a, g = a[:, prefix:], g[:, 0, prefix:]
    expected = np.maximum((g.mean(axis=1, keepdims=True) * a).sum(axis=2), 0).reshape(2, 2, 3)
    np.testing.assert_allclose(explanation.maps, expected, rtol=2e-4, atol=1e-6)
    assert np.abs(g).max() > 0


def test_tokens_and_layers_of_ones_own_have_their_channels_last():
    facts = {layer.name: layer for layer in KerasBackend(vit(True)).observe(pictures()).layers}
    axes = xaicore.layers.channel_axes(tuple(facts.values()))
    assert {axes[name] for name in ("norm0", "mixed0", "attention1", "norm")} == {2}
    assert facts["norm0"].vectors == (8,)
    assert facts["norm"].reached[1] == [True] + 6 * [False]
    assert facts["block0"].takes == ("mixed0", "mlp0")


def frames_net(steps=4, over=None):
    inner = keras.Sequential(
        [keras.Input((6, 9, 1)), layers.Conv2D(5, 3, activation="relu", name="conv"), layers.GlobalAveragePooling2D()],
        name="inner",
    )
    i = keras.Input((steps, 6, 9, 1))
    features = (over or layers.Flatten())(layers.TimeDistributed(inner)(i))
    return settle(keras.Model(i, layers.Dense(3, name="dense")(features)))


@pytest.mark.parametrize("count", [1, 3])
def test_a_map_per_frame(count, unchanged):
    model = frames_net()
    x = np.random.default_rng(2).normal(size=(count, 4, 6, 9, 1)).astype(np.float32)
    inner = model.layers[1].layer
    with unchanged(model):
        explanation = xaicore.explain(model, x, 1, method="hirescam")
    assert explanation.layer == "time_distributed/inner/conv"
    a = ops.convert_to_numpy(inner.get_layer("conv")(x.reshape(-1, 6, 9, 1))).reshape(count, 4, 4, 7, 5)
    rows = ops.convert_to_numpy(model.get_layer("dense").kernel)[:, 1].reshape(4, 1, 1, 5) / 28
    np.testing.assert_allclose(explanation.maps, np.maximum((a * rows).sum(axis=-1), 0), **CLOSE)
    np.testing.assert_allclose(explanation.outputs, ops.convert_to_numpy(model(x)), **CLOSE)


@pytest.mark.parametrize(
    ("over", "frames"),
    [(layers.LSTM(3), 4), (layers.Bidirectional(layers.GRU(2)), 4), (layers.GlobalMaxPooling1D(), 1)],
)
def test_frames_are_in_order_where_a_recurrent_layer_reads_them(over, frames):
    x = np.random.default_rng(2).normal(size=(2, 4, 6, 9, 1)).astype(np.float32)
    explanation = xaicore.explain(frames_net(over=type(over).from_config(over.get_config())), x, 1)
    word = "frame" if frames > 1 else "view"
    assert (explanation.frames, explanation.view_names) == (frames, tuple(f"{word} {i}" for i in range(4)))


def test_frames_are_in_order_where_a_convlstm_reads_them():
    i = keras.Input((4, 6, 9, 1))
    maps = layers.TimeDistributed(layers.Conv2D(3, 3, activation="relu"), name="frames")(i)
    last = layers.GlobalAveragePooling2D()(layers.ConvLSTM2D(2, 3)(maps))
    model = settle(keras.Model(i, layers.Dense(3, name="dense")(last)))
    explanation = xaicore.explain(model, np.ones((2, 4, 6, 9, 1), np.float32), 1)
    assert (explanation.layer, explanation.maps.shape, explanation.frames) == ("frames", (2, 4, 4, 7), 4)


def test_the_runs_over_two_pictures_are_named_by_their_inputs():
    model, (left, right) = pair(), np.split(pictures(4), 2)
    explanation = xaicore.explain(model, [left, right], 1, layer="backbone/conv#*")
    assert (explanation.frames, explanation.view_names) == (1, ("input 0", "input 1"))


def pair():
    """Two pictures through one backbone."""
    i = keras.Input((6, 9, 1))
    maps = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(i)
    backbone = keras.Model(i, layers.GlobalAveragePooling2D()(maps), name="backbone")
    left, right = keras.Input((6, 9, 1), name="left"), keras.Input((6, 9, 1), name="right")
    both = layers.Concatenate()([backbone(left), backbone(right)])
    return settle(keras.Model([left, right], layers.Dense(2, name="dense")(both)))


def test_one_backbone_for_two_pictures_has_a_map_for_each():
    model, (left, right) = pair(), np.split(pictures(4), 2)
    with pytest.raises(xaicore.LayerError, match=r"run 1 reads input 0, run 2 reads input 1.*'backbone/conv#1'"):
        xaicore.explain(model, [left, right], 1)
    conv, kernel = model.get_layer("backbone").get_layer("conv"), model.get_layer("dense").kernel
    rows = ops.convert_to_numpy(kernel)[:, 1] / 54
    expected = [np.maximum(ops.convert_to_numpy(conv(x)) @ row, 0) for x, row in ((left, rows[:4]), (right, rows[4:]))]
    for run, x, maps in zip((1, 2), (left, right), expected, strict=True):
        explanation = xaicore.explain(model, [left, right], 1, layer=f"backbone/conv#{run}")
        np.testing.assert_allclose(explanation.maps, maps, **CLOSE)
        shown = explanation.images.astype(float).reshape(2, -1, 3)[..., 0]
        assert np.corrcoef(shown[0], x[0].reshape(-1))[0, 1] > 0.99
    every = xaicore.explain(model, [left, right], 1, layer="backbone/conv#*")
    np.testing.assert_allclose(every.maps, np.stack(expected, axis=1), **CLOSE)


LOSSES = {
    "binary_crossentropy": "sigmoid",
    "sparse_categorical_crossentropy": "softmax",
    "mse": "values",
    "mean_absolute_error": "values",
    keras.losses.BinaryFocalCrossentropy(from_logits=True): "sigmoid",
    keras.losses.CategoricalCrossentropy(): "softmax",
    keras.losses.Huber(): "values",
    keras.losses.log_cosh: "values",
    keras.losses.KLDivergence(): None,
}


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_what_a_model_was_compiled_with(loss):
    model = keras.Sequential([keras.Input((6, 9, 1)), layers.Flatten(), layers.Dense(1)])
    assert trained_for(model, None) is None
    model.compile("sgd", loss)
    assert trained_for(model, None) == LOSSES[loss]


def test_the_loss_of_the_chosen_output():
    i = keras.Input((6, 9, 1))
    y = layers.Flatten()(layers.Conv2D(2, 3)(i))
    model = keras.Model(i, {"age": layers.Dense(1, name="age")(y), "sex": layers.Dense(1, name="sex")(y)})
    model.compile("sgd", {"age": "mse", "sex": keras.losses.BinaryCrossentropy(from_logits=True)})
    for output, kind in (("age", "values"), ("sex", "logits")):
        assert xaicore.explain(model, pictures(), output=output).outputs_kind == kind
    assert (trained_for(model, 0), trained_for(model, "sex"), trained_for(model, None)) == ("values", "sigmoid", None)


def test_cam_finds_the_pooled_map_that_the_classifier_reads():
    i = keras.Input((12, 18, 1))
    maps = layers.MaxPooling2D(name="pool")(layers.Conv2D(5, 3, padding="same", activation="relu", name="conv")(i))
    dense = layers.Dense(1, activation="sigmoid", name="dense")
    model = settle(keras.Model(i, dense(layers.GlobalAveragePooling2D()(maps))))
    x = pictures(2, 1, 12, 18)
    explanation = xaicore.explain(model, x, 1, method="cam")
    assert explanation.layer == "pool"
    given = ops.convert_to_numpy(keras.Model(i, maps)(x)) @ ops.convert_to_numpy(dense.kernel)[:, 0]
    np.testing.assert_allclose(explanation.maps, np.maximum(given, 0), **CLOSE)
    assert xaicore.explain(model, x, 1).layer == "conv"


def test_a_map_lies_over_the_picture_that_a_layer_makes():
    """A row of numbers becomes a picture inside of the model."""
    i = keras.Input((54,))
    y = layers.Conv2D(4, 3, padding="same", name="conv")(layers.Reshape((6, 9, 1), name="picture")(i))
    model = settle(keras.Model(i, layers.Dense(3, name="dense")(layers.GlobalAveragePooling2D()(y))))
    x = np.random.default_rng(0).random((2, 54), np.float32)
    explanation = xaicore.explain(model, x, 1)
    a = ops.convert_to_numpy(model.get_layer("conv")(x.reshape(2, 6, 9, 1)))
    rows = ops.convert_to_numpy(model.get_layer("dense").kernel)[:, 1] / 54
    np.testing.assert_allclose(explanation.maps, np.maximum(a @ rows, 0), **CLOSE)
    assert explanation.images.shape == (2, 6, 9, 3)


def test_a_preprocessor_outside_of_the_call_is_mentioned():
    class Task(keras.Model):
        preprocessor = staticmethod(lambda x: x / 255)

        def predict(self, x, **options):
            return super().predict(self.preprocessor(x), **options)

    i = keras.Input((6, 9, 1))
    model = Task(i, layers.Dense(3)(layers.Flatten()(layers.Conv2D(2, 3)(i))))
    with pytest.warns(RuntimeWarning, match=r"Task preprocesses pictures in predict\(\).*model.preprocessor\(x\)"):
        xaicore.explain(model, pictures(), 1)


def changed_net(change, shape=(32, 48, 1)):
    """A model that changes its pictures before it convolves them."""
    i = keras.Input(shape)
    maps = layers.Conv2D(3, 3, padding="same", activation="relu", name="conv")(change(i))
    return settle(keras.Model(i, layers.Dense(2, name="dense")(layers.GlobalAveragePooling2D()(maps))))


class ByHand(keras.Model):
    """A subclassed model that casts its pictures and flips them."""

    def __init__(self):
        super().__init__()
        self.conv, self.dense = layers.Conv2D(3, 3, name="conv"), layers.Dense(2, name="dense")

    def call(self, x):
        return self.dense(ops.mean(self.conv(ops.flip(ops.cast(x, "float32"), 2)), axis=(1, 2)))


CHANGES = {
    "flips it": [
        lambda x: ops.flip(x, 2),
        lambda x: layers.Rescaling(2.0)(ops.flip(x, 1)),
        lambda x: ops.rot90(x, axes=(1, 2)),
    ],
    "crops or pads it": [
        layers.Cropping2D(6),
        layers.CenterCrop(10, 10),  # a small part
        lambda x: ops.concatenate([x, ops.zeros_like(x)], axis=2),
        layers.Resizing(32, 32, crop_to_aspect_ratio=True),
    ],
}


@pytest.mark.parametrize(("says", "change"), [(says, change) for says, some in CHANGES.items() for change in some])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_a_changed_picture_is_not_what_the_map_lies_over(says, change, dtype, unchanged):
    model, x = changed_net(change), (100 * np.random.default_rng(0).random((2, 32, 48, 1))).astype(dtype)
    with unchanged(model), pytest.raises(xaicore.LayerError, match=f"the model {says} before its first") as raised:
        xaicore.explain(model, x, 1)
    (advice,) = re.findall(r"input_axes='(\w+)'", str(raised.value))
    explanation = xaicore.explain(model, x, 1, input_axes=advice)
    a, _ = truth(model, x, "conv", [[1], [1]])
    expected = np.maximum(a @ ops.convert_to_numpy(model.get_layer("dense").kernel)[:, 1] / a[0, ..., 0].size, 0)
    np.testing.assert_allclose(explanation.maps, expected, **CLOSE)


def test_integers_are_followed_through_a_call_of_ones_own(unchanged):
    model, x = ByHand(), np.random.default_rng(0).integers(0, 255, (2, 12, 18, 1), "uint8")
    model(x)
    with unchanged(model), pytest.raises(xaicore.LayerError, match="the model flips it before its first"):
        xaicore.explain(model, x, 1)


@pytest.mark.parametrize(
    "change",
    [
        layers.Rescaling(1 / 255),
        layers.ZeroPadding2D(1),
        layers.ZeroPadding2D(3),  # as ResNet and DenseNet do before their first convolution
        layers.Resizing(64, 64),
        layers.AveragePooling2D(2),
        lambda x: ops.flip(ops.concatenate([x, x, x], axis=3), 3),
        lambda x: x[:, ::2, ::2],
    ],
)
def test_pictures_that_keep_their_place_are_explained(change):
    model, x = changed_net(change), np.random.default_rng(0).random((2, 32, 48, 1)).astype(np.float32)
    assert xaicore.explain(model, x, 1).input_size == (32, 48)


@pytest.mark.parametrize("flips", [(False, True), (True, False)])
def test_the_unflipped_view_is_explained(flips):
    i = keras.Input((6, 9, 1))
    conv, dense = layers.Conv2D(3, 3, activation="relu", name="conv"), layers.Dense(2, name="dense")
    views = [ops.flip(i, 2) if flip else layers.Rescaling(1.0)(i) for flip in flips]
    model = settle(keras.Model(i, layers.Average()([dense(layers.GlobalAveragePooling2D()(conv(v))) for v in views])))
    x = pictures()
    expected = ops.convert_to_numpy(conv(x)) @ ops.convert_to_numpy(dense.kernel)[:, 1] / 2 / 28
    np.testing.assert_allclose(xaicore.explain(model, x, 1).maps, np.maximum(expected, 0), **CLOSE)
    with pytest.raises(xaicore.LayerError, match="the model flips it before its first"):
        xaicore.explain(model, x, 1, layer="conv#*")


def detector(form):
    """Class scores and boxes; one of each, or for each of five queries."""
    i = keras.Input((6, 9, 1))
    y = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3, activation="relu", name="conv")(i))
    queries = (5,) if form in ("queries", "unnamed") else ()
    names = {"list": ("scores", "bbox"), "unnamed": ("first", "second")}.get(form, ("classes", "boxes"))
    scores = layers.Reshape((*queries, 3), name=names[0])(layers.Dense(3 * max((1, *queries)))(y))
    boxes = layers.Dense(4 * max((1, *queries)), activation="sigmoid", name="coordinates")(y)
    boxes = layers.Reshape((*queries, 4), name=names[1])(boxes)
    return settle(keras.Model(i, [scores, boxes] if form == "list" else dict(zip(names, (scores, boxes), strict=True))))


@pytest.mark.parametrize(("form", "classes", "boxes"), [("dict", "classes", "boxes"), ("list", 0, 1)])
def test_a_box_is_explained_as_values_or_not_at_all(form, classes, boxes, unchanged):
    model, x = detector(form), pictures()
    with pytest.raises(xaicore.OutputError, match=r"say which one, output='(classes|scores)'"):
        xaicore.explain(model, x)
    assert xaicore.explain(model, x, 1, output=classes).outputs_kind == "logits"
    with (
        unchanged(model),
        pytest.raises(xaicore.OutputError, match=r"'b.*' \(1, 4\) holds boxes.*output='[cs]") as raised,
    ):
        xaicore.explain(model, x, 1, output=boxes)
    assert "kind='values' with targets=0" in str(raised.value)
    explanation = xaicore.explain(model, x, 0, output=boxes, kind="values")
    answer = model(x)
    values = ops.convert_to_numpy(answer[boxes])[:, 0]
    np.testing.assert_allclose(explanation.scores, values, **CLOSE)
    a = ops.convert_to_numpy(model.get_layer("conv")(x))
    kernel = ops.convert_to_numpy(model.get_layer("coordinates").kernel)[:, 0]
    np.testing.assert_allclose(explanation.maps, np.maximum(a @ kernel / 28, 0), **CLOSE)


@pytest.mark.parametrize("form", ["queries", "unnamed"])
def test_boxes_of_queries_and_their_scores_are_no_classes(form):
    model, x = detector(form), pictures()
    for output in model.output_names:
        with pytest.raises(xaicore.OutputError, match=r"holds (boxes|scores for each of the boxes).*as \(N, 1\)"):
            xaicore.explain(model, x, 1, output=output, layer="conv")
    with pytest.raises(xaicore.OutputError, match=r"'(classes|first)' .* of one box, as \(N, 1\)"):
        xaicore.explain(model, x, 1)
    scores = model.get_layer("classes" if form == "queries" else "first").output
    score = keras.Model(model.inputs, scores[:, 0, 1:2])  # as the message says
    assert xaicore.explain(score, x).outputs_kind == "values"


class Looped(keras.Model):
    """Convolves the frames of a clip one after the other; frames of one channel may lack the channel axis."""

    def __init__(self):
        super().__init__()
        self.conv, self.dense = layers.Conv2D(3, 3, activation="relu", name="conv"), layers.Dense(2, name="dense")

    def frame(self, x):
        return ops.mean(self.conv(x if len(x.shape) == 4 else ops.expand_dims(x, -1)), axis=(1, 2))

    def call(self, x):
        return self.dense(ops.concatenate([self.frame(x[:, t]) for t in range(x.shape[1])], axis=1))


@pytest.mark.parametrize("kind", ["subclassed", "functional"])
@pytest.mark.parametrize("shape", [(4, 6, 9, 1), (4, 6, 9)])
def test_frames_that_are_convolved_in_a_loop_have_a_map_each(kind, shape, unchanged):
    model, x = Looped(), np.random.default_rng(2).normal(size=(2, *shape)).astype(np.float32)
    model(x)
    settle(model)
    conv, dense = model.conv, model.dense
    if kind == "functional":  # a graph may run the frames in any order
        i = keras.Input(shape)
        model = keras.Model(i, model.call(i))
    with unchanged(model):
        explanation = xaicore.explain(model, x, 1)
    assert (explanation.layer, explanation.views) == ("conv", 4)
    a = ops.convert_to_numpy(conv(x.reshape(-1, 6, 9, 1))).reshape(2, 4, 4, 7, 3)
    rows = ops.convert_to_numpy(dense.kernel)[:, 1].reshape(4, 1, 1, 3) / 28
    np.testing.assert_allclose(explanation.maps, np.maximum((a * rows).sum(axis=-1), 0), **CLOSE)
    shown = explanation.images.reshape(2, 6, 4, 9, 3)[..., 0].transpose(0, 2, 1, 3).astype(float)
    for frame, picture in zip(x.reshape(8, -1), shown.reshape(8, -1), strict=True):
        assert np.corrcoef(frame, picture)[0, 1] > 0.99
    single = xaicore.explain(model, x, 1, layer="conv#2")
    (frame,) = (t for t in range(4) if np.allclose(single.maps, explanation.maps[:, t], **CLOSE))
    assert np.corrcoef(single.images[..., 0].ravel(), x.reshape(2, 4, 6, 9)[:, frame].ravel())[0, 1] > 0.99


class BothWays(Looped):
    """A second convolution takes the maps of the frames from the last to the first."""

    def __init__(self):
        super().__init__()
        self.back = layers.Conv2D(3, 3, activation="relu", name="back")

    def call(self, x):
        maps = [self.conv(x[:, t]) for t in range(x.shape[1])]
        return self.dense(ops.concatenate([ops.mean(self.back(one), axis=(1, 2)) for one in maps[::-1]], axis=1))


@pytest.mark.parametrize("layer", [None, "back"])
def test_a_second_loop_takes_the_frames_in_another_order(layer):
    model, x = BothWays(), np.random.default_rng(2).normal(size=(2, 4, 7, 9, 1)).astype(np.float32)
    model(x)
    settle(model)
    explanation = xaicore.explain(model, x, 1, layer=layer)
    assert (explanation.layer, explanation.views) == ("back", 4)
    a = ops.convert_to_numpy(model.back(model.conv(x.reshape(-1, 7, 9, 1)))).reshape(2, 4, 3, 5, 3)
    rows = ops.convert_to_numpy(model.dense.kernel)[:, 1].reshape(4, 1, 1, 3)[::-1] / 15
    np.testing.assert_allclose(explanation.maps, np.maximum((a * rows).sum(axis=-1), 0), **CLOSE)


class OneBehind(Looped):
    """A state that a convolution takes one frame behind: its first run has seen no frame."""

    def __init__(self):
        super().__init__()
        self.frames = layers.Conv2D(3, 3, padding="same", name="frames")
        self.state = layers.Conv2D(3, 3, padding="same", name="state")

    def call(self, x):
        h = ops.zeros_like(x[:, 0]) * ops.ones((3,))
        for t in range(x.shape[1]):
            h = ops.tanh(self.frames(x[:, t]) + self.state(h))
        return self.dense(ops.mean(h, axis=(1, 2)))


def test_a_state_one_frame_behind_has_no_map_of_a_frame():
    model, x = OneBehind(), np.random.default_rng(2).normal(size=(2, 4, 7, 9, 1)).astype(np.float32)
    model(x)
    settle(model)
    assert xaicore.explain(model, x, 1).layer == "frames"
    with pytest.raises(xaicore.LayerError, match="'state' ran 4 times, and the first convolution 4 times"):
        xaicore.explain(model, x, 1, layer="state")


class Refine(layers.Layer):
    """Runs a convolution three times, and returns what the last run gave."""

    def __init__(self, **options):
        super().__init__(**options)
        self.conv = layers.Conv2D(3, 1, name="conv")

    def call(self, x):
        for _ in range(3):
            x = self.conv(x)
        return x


def test_runs_inside_of_a_layer_that_runs_once():
    i = keras.Input((7, 9, 3))
    model = settle(keras.Model(i, layers.Dense(2)(layers.GlobalAveragePooling2D()(Refine(name="refine")(i)))))
    x = np.random.default_rng(2).normal(size=(2, 7, 9, 3)).astype(np.float32)
    assert xaicore.explain(model, x, 1).layer == "refine"
    a = [xaicore.Explainer(model).backend.capture(x, [f"refine/conv#{run}"]).activations for run in (1, 2, 3)]
    explanation = xaicore.explain(model, x, 1, layer="refine/conv#*")
    assert explanation.view_names == tuple(f"run {run} on input 0" for run in (1, 2, 3))
    conv = model.get_layer("refine").conv
    np.testing.assert_allclose(a[1]["refine/conv#2"], ops.convert_to_numpy(conv(conv(x))), **CLOSE)
    with pytest.raises(xaicore.LayerError, match="ran 3 times for this input: there is no run 4"):
        xaicore.explain(model, x, 1, layer="refine/conv#4")


class Asking(layers.Layer):
    """Learned queries and Keras' own attention."""

    def __init__(self, count):
        super().__init__()
        self.count, self.attention = count, layers.MultiHeadAttention(2, 4)

    def build(self, shape):
        self.queries = self.add_weight(shape=(1, self.count, shape[-1]), initializer="random_normal", name="queries")
        self.attention.build((None, self.count, shape[-1]), shape)

    def call(self, tokens):
        return self.attention(ops.repeat(self.queries, ops.shape(tokens)[0], axis=0), tokens, tokens)


MIXED = {
    "6 queries": lambda f: Asking(6)(layers.Reshape((-1, 8))(f)),
    "columns first": lambda f: layers.Reshape((-1, 8))(layers.Permute((2, 1, 3))(f)),
    "from the end": lambda f: ops.flip(layers.Reshape((-1, 8))(f), 1),
}


@pytest.mark.parametrize("is_frozen", [False, True])
@pytest.mark.parametrize("name", MIXED)
def test_tokens_that_are_no_positions_in_their_order_are_refused(name, is_frozen, unchanged):
    i = keras.Input((16, 24, 3))
    tokens = layers.LayerNormalization(name="norm")(MIXED[name](layers.Conv2D(8, 4, strides=4, name="patches")(i)))
    model = settle(keras.Model(i, layers.Dense(2)(layers.GlobalAveragePooling1D()(tokens))))
    model.trainable = not is_frozen
    x = np.random.default_rng(2).normal(size=(2, 16, 24, 3)).astype(np.float32)
    with unchanged(model):
        assert xaicore.explain(model, x, 1).layer == "patches"
        with pytest.raises(xaicore.LayerError, match="these tokens do not follow the picture"):
            xaicore.explain(model, x, 1, layer="norm")


class Mapped(Looped):
    """The same with `ops.map`, whose body is traced by itself."""

    def call(self, x):
        features = ops.map(self.frame, ops.transpose(x, (1, 0, 2, 3, 4)))
        return self.dense(ops.reshape(ops.transpose(features, (1, 0, 2)), (-1, 12)))


def test_frames_inside_of_a_compiled_loop_are_refused(unchanged):
    model, x = Mapped(), np.ones((2, 4, 6, 9, 1), np.float32)
    model(x)
    if keras.backend.backend() == "torch":  # a plain loop there
        assert xaicore.explain(model, x, 1).views == 4
        return
    for layer in (None, "conv"):
        with (
            unchanged(model),
            pytest.raises(xaicore.XaicoreError, match=r"one batch, reshaped to \(N \* frames|inside a loop|no layer"),
        ):
            xaicore.explain(model, x, 1, layer=layer)


def test_a_flat_time_distributed_net_is_explained_before_its_pooling():
    i = keras.Input((4, 6, 9, 1))
    y = layers.TimeDistributed(layers.MaxPooling2D(), name="pool")(
        layers.TimeDistributed(layers.Conv2D(3, 3), name="conv")(i)
    )
    model = settle(keras.Model(i, layers.Dense(2)(layers.Flatten()(y))))
    assert xaicore.explain(model, np.ones((1, 4, 6, 9, 1), np.float32), 1).layer == "conv"


@pytest.mark.parametrize("order", ["reversed", "frame by frame"])
def test_rows_in_another_order_belong_to_no_picture(order, unchanged):
    i = keras.Input((3, 6, 9, 1))
    conv = layers.Conv2D(3, 3, activation="relu", name="conv")
    clips = ops.flip(i, 1) if order == "reversed" else ops.transpose(i, (1, 0, 2, 3, 4))
    features = layers.GlobalAveragePooling2D()(conv(ops.reshape(clips, (-1, 6, 9, 1))))
    y = ops.max(
        ops.reshape(features, (-1, 3, 3) if order == "reversed" else (3, -1, 3)), 1 if order == "reversed" else 0
    )
    model = settle(keras.Model(i, layers.Dense(2)(y)))
    x = np.random.default_rng(0).normal(size=(2, 3, 6, 9, 1)).astype(np.float32)
    with unchanged(model), pytest.raises(xaicore.LayerError, match="takes its frames or views in another order"):
        xaicore.explain(model, x, 1)


class BatchNorm(layers.Layer):
    """A norm over the batch, as BatchNorm without running statistics."""

    def call(self, x):
        return x - ops.mean(x, axis=(0, 1, 2), keepdims=True)


@pytest.mark.parametrize("layer", ["conv", "last"])
def test_what_is_asked_of_one_image_does_not_change_the_map_of_another(layer, unchanged):
    i = keras.Input((6, 9, 1))
    y = layers.ReLU()(BatchNorm()(layers.Conv2D(4, 3, name="conv")(i)))
    y = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu", name="last")(y))
    model, x = settle(keras.Model(i, layers.Dense(3)(y))), pictures(3)
    with unchanged(model):
        one, other = (xaicore.explain(model, x, targets, layer=layer) for targets in ([0, 1, 2], [0, 2, 1]))
    np.testing.assert_allclose(one.maps[0], other.maps[0], **CLOSE)
    assert np.abs(one.maps[1] - other.maps[1]).max() > 1e-4
    together = [truth(model, x, layer, rows)[1] for rows in ([[0], [1], [2]], [[0], [2], [1]])]
    assert (np.abs(together[0][0] - together[1][0]).max() > 1e-4) == (layer == "conv")


@pytest.mark.parametrize("layer", [layers.LSTM, layers.GRU])
def test_a_map_before_two_recurrent_layers(layer, unchanged):
    i = keras.Input((20, 5))
    y = layer(6, return_sequences=True)(layers.Conv1D(7, 3, activation="relu", name="conv")(i))
    model = settle(keras.Model(i, layers.Dense(3)(layer(4)(y))))
    x = np.random.default_rng(0).normal(size=(2, 20, 5)).astype(np.float32)
    with unchanged(model):
        explanation = xaicore.explain(model, x, [[1, 2]])
    assert explanation.layer == "conv"
    a, g = truth(model, x, "conv", [[1, 2], [1, 2]])
    expected = np.maximum((g.mean(axis=2, keepdims=True) * a[:, None]).sum(axis=3), 0)
    np.testing.assert_allclose(explanation.maps.reshape(2, 2, 18), expected, rtol=2e-4, atol=1e-6)


def test_the_columns_of_a_picture_are_no_grid():
    i = keras.Input((16, 32, 1))
    y = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv")(i)
    y = layers.Permute((2, 1, 3))(layers.MaxPooling2D((2, 1))(y))
    y = layers.Reshape((32, 48), name="columns")(y)  # as many as a grid of 4 x 8
    y = layers.Bidirectional(layers.LSTM(4, return_sequences=True), name="reader")(y)
    model, x = settle(keras.Model(i, layers.Dense(3)(layers.GlobalAveragePooling1D()(y)))), pictures(2, h=16, w=32)
    assert xaicore.explain(model, x, 1).layer == "conv"
    for layer in ("columns", "reader"):
        with pytest.raises(xaicore.LayerError, match="these tokens do not follow the picture"):
            xaicore.explain(model, x, 1, layer=layer)


def test_runs_of_different_sizes_are_named_one_by_one():
    i = keras.Input((6, 8, 1))
    conv, pool = layers.Conv2D(3, 3, padding="same", name="conv"), layers.GlobalAveragePooling2D()
    scales = [pool(conv(i)), pool(conv(layers.AveragePooling2D(2)(i)))]
    model, x = settle(keras.Model(i, layers.Dense(2)(layers.Add()(scales)))), pictures(2, w=8)
    with pytest.raises(xaicore.LayerError, match=r"gave .*: name them one by one, layer='conv#1'"):
        xaicore.explain(model, x, 1, layer="conv#*")
    assert {xaicore.explain(model, x, 1, layer=f"conv#{run}").maps.shape for run in (1, 2)} == {(2, 6, 8), (2, 3, 4)}


class Positioned(keras.Model):
    """Tokens with learned positions, whose indices are a constant that was made outside of any graph."""

    def __init__(self):
        super().__init__()
        self.patches, self.positions = layers.Conv2D(8, 3, 3, name="patches"), layers.Embedding(6, 8, name="positions")
        self.indices = ops.expand_dims(ops.arange(6), 0)
        self.norm, self.dense = layers.LayerNormalization(name="norm"), layers.Dense(3)

    def call(self, x):
        t = ops.reshape(self.patches(x), (-1, 6, 8)) + self.positions(self.indices)
        return self.dense(ops.mean(self.norm(t), axis=1))


def test_a_layer_may_take_a_constant():
    model, x = Positioned(), pictures()
    model(x)
    settle(model)
    explanation = xaicore.explain(model, x, 1)
    assert explanation.layer == "norm"
    a, gradients = truth(model, x, "norm", [[1], [1]])
    a, g = (channels_first(one.reshape(2, 2, 3, 8)) for one in (a, gradients))
    np.testing.assert_allclose(explanation.maps, np.maximum((a * g.mean((2, 3), keepdims=True)).sum(1), 0), **CLOSE)


class Listening(keras.Model):
    """Makes a spectrogram of a waveform in a layer, or by operations of its own."""

    def __init__(self, in_a_layer):
        super().__init__()
        self.made = layers.Lambda(spectrogram, name="made") if in_a_layer else spectrogram
        self.conv, self.dense = layers.Conv2D(3, 3, activation="relu", name="conv"), layers.Dense(2, name="dense")

    def call(self, x):
        return self.dense(ops.mean(self.conv(self.made(x)), axis=(1, 2)))


def spectrogram(x):
    real, imaginary = ops.stft(x, 32, 8, 32)
    return ops.expand_dims(ops.log(real**2 + imaginary**2 + 1e-3), -1)


@pytest.mark.parametrize("in_a_layer", [True, False])
def test_a_spectrogram_made_inside_is_shown_under_its_map(in_a_layer, unchanged):
    model, x = Listening(in_a_layer), np.random.default_rng(3).normal(size=(2, 800)).astype(np.float32)
    model(x)
    settle(model)
    explainer = xaicore.Explainer(model)
    explainer(x, 1)
    with unchanged(model):
        explanation = explainer(x, 1)
    pictures_made = ops.convert_to_numpy(spectrogram(ops.convert_to_tensor(x)))
    assert explanation.layer == "conv"
    assert explanation.input_size == pictures_made.shape[1:3]
    a = ops.convert_to_numpy(model.conv(pictures_made))
    rows = ops.convert_to_numpy(model.dense.kernel)[:, 1] / np.prod(a.shape[1:3])
    np.testing.assert_allclose(explanation.maps, np.maximum(a @ rows, 0), **CLOSE)
    shown = explanation.images[..., 0].astype(float)
    assert np.corrcoef(shown.ravel(), pictures_made[..., 0].ravel())[0, 1] > 0.99

"""Maps, gradients and outputs against values computed by hand or by the framework's own eager autodiff."""

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
    channels_first,
    conv_gap_dense,
    evidence,
    features,
    gradcam,
    logits,
    mean,
    needs_onednn,
    numpy,
    pictures,
    rows_of,
    run,
    settle,
    sigmoid,
    slope_agrees,
    slopes,
    softmax,
    truth,
)

import xaicore
from xaicore import targets
from xaicore.outputs import Output

PAIRS = np.array([[0, 1], [2, 0]])


def capture(model, x, names, classes=PAIRS):
    aim = targets.Classes(classes)
    return KerasBackend(model).capture(x, names, lambda outputs, kind: aim.aim(outputs, kind).direction)


@pytest.mark.parametrize(
    ("net", "layer"),
    [*((conv_gap_dense, name) for name in ("conv1", "relu1", "conv2", "relu2")), (Subclassed, "conv1")],
)
def test_the_oracle_agrees_with_central_differences_in_numpy(net, layer):
    model, x = net(), pictures()
    _, gradients = truth(model, x, layer, PAIRS)
    np.testing.assert_allclose(gradients, slopes(model, x, layer, PAIRS), rtol=1e-4, atol=1e-7)
    assert slope_agrees(model, x, layer, PAIRS, gradients)
    np.testing.assert_allclose(numpy(run(model, x)), logits(model, x), **CLOSE)


def test_grad_cam_of_the_predicted_class_is_the_hand_computed_map():
    model, x = conv_gap_dense(), pictures()
    predicted = logits(model, x).argmax(1)
    explanation = xaicore.explain(model, x)
    assert explanation.layer == "relu2"
    assert (explanation.outputs_kind, explanation.input_size) == ("logits", (6, 9))
    np.testing.assert_array_equal(explanation.targets, predicted)
    np.testing.assert_allclose(explanation.maps, gradcam(model, x, predicted[:, None])[:, 0], **CLOSE)
    np.testing.assert_allclose(explanation.outputs, logits(model, x), **CLOSE)
    np.testing.assert_allclose(explanation.scores, softmax(logits(model, x)).max(1), **CLOSE)
    assert explanation.maps.max() > 0
    assert explanation.images.shape == (2, 6, 9, 3)


def tensor(x):
    return ops.convert_to_tensor(x)


def recorded(x):
    if BACKEND == "torch":
        return tensor(x).requires_grad_()
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.Variable(x)
    return tensor(x)


@pytest.mark.parametrize(
    "given",
    [
        tensor,
        recorded,
        lambda x: x.astype(np.float64),
        lambda x: np.frombuffer(x.tobytes(), np.float32).reshape(x.shape),
        lambda x: np.ascontiguousarray(x[:, ::-1])[:, ::-1],
    ],
    ids=["tensor", "recorded tensor", "float64 array", "read-only array", "reversed array"],
)
def test_arrays_and_tensors_give_the_same_map(given):
    model, x = conv_gap_dense(), pictures()
    explanation = xaicore.explain(model, given(x), 1)
    np.testing.assert_allclose(explanation.maps, gradcam(model, x, [[1], [1]])[:, 0], **CLOSE)
    assert explanation.images.shape == (2, 6, 9, 3)


def test_pictures_of_whole_numbers():
    model, x = conv_gap_dense(), np.random.default_rng(0).integers(0, 255, (2, 6, 9, 1), dtype=np.uint8)
    explanation = xaicore.explain(model, x, 1)
    np.testing.assert_allclose(explanation.maps, gradcam(model, x, [[1], [1]])[:, 0], rtol=1e-4)
    np.testing.assert_array_equal(explanation.images, x.repeat(3, axis=3))


@pytest.mark.parametrize("given", [tensor, np.asarray])
@pytest.mark.parametrize("net", [conv_gap_dense, Subclassed])
def test_one_image_without_a_batch_axis(net, given):
    model, x = net(), pictures(1)
    explanation = xaicore.explain(model, given(x[0]), 2)
    np.testing.assert_allclose(explanation.maps, gradcam(model, x, [[2]])[:, 0], **CLOSE)
    assert explanation.images.shape == (1, 6, 9, 3)


def test_several_targets_an_image_keep_their_order():
    model, x = conv_gap_dense(), pictures(3)
    explainer = xaicore.Explainer(model, layer="relu2")
    classes = np.array([[0, 2], [1, 0], [2, 1]])
    explanation = explainer(x, classes)
    np.testing.assert_allclose(explanation.maps, gradcam(model, x, classes).reshape(6, 6, 9), **CLOSE)
    np.testing.assert_array_equal(explanation.targets, classes.reshape(-1))
    best = np.argsort(-logits(model, x), axis=1, kind="stable")
    explanation = explainer(x, targets.TopK(7))  # clipped to the three that there are
    np.testing.assert_allclose(explanation.maps, gradcam(model, x, best).reshape(9, 6, 9), **CLOSE)
    np.testing.assert_array_equal(explanation.targets, best.reshape(-1))


@pytest.mark.parametrize("activation", [None, "sigmoid"])
def test_both_classes_of_a_one_output_classifier_are_a_map_and_its_negative(activation):
    model, x = conv_gap_dense(classes=1, activation=activation), pictures()
    explanation = xaicore.explain(model, x, [[1, 0], [1, 0]])
    speaks_for = evidence(model, x, [[1], [1]])[:, 0] / 54
    maps = explanation.maps.reshape(2, 2, 6, 9)
    np.testing.assert_allclose(maps[:, 0], np.maximum(speaks_for, 0), **CLOSE)
    np.testing.assert_allclose(maps[:, 1], np.maximum(-speaks_for, 0), **CLOSE)
    assert maps[:, 0].any()
    assert maps[:, 1].any()
    p = sigmoid(logits(model, x))[:, 0]
    np.testing.assert_allclose(explanation.scores, np.stack([p, 1 - p], 1).reshape(-1), **CLOSE)
    np.testing.assert_array_equal(explanation.predicted, p > 0.5)


ENDS = {
    "dense, name": {"activation": "{}"},
    "dense, function": {"activation": lambda kind: getattr(keras.activations, kind)},
    "dense, operation": {"activation": lambda kind: getattr(ops, kind)},
    "activation, name": {"end": lambda y, kind: layers.Activation(kind)(y)},
    "activation, function": {"end": lambda y, kind: layers.Activation(getattr(keras.activations, kind))(y)},
    "operation": {"end": lambda y, kind: getattr(ops, kind)(y)},
    "dropout before": {"end": lambda y, kind: layers.Activation(kind)(layers.Dropout(0.5)(y))},
    "reshape before, flatten after": {
        "end": lambda y, kind: layers.Flatten()(layers.Activation(kind)(layers.Reshape((1, -1))(y)))
    },
    "reshape after": {"activation": "{}", "end": lambda y, kind: layers.Reshape((-1,))(y)},
    "identity after": {"end": lambda y, kind: layers.Identity()(layers.Activation(kind)(y))},
    "dropout after": {"end": lambda y, kind: layers.Dropout(0.5)(layers.Activation(kind)(y))},
    "linear after": {"activation": "{}", "end": lambda y, kind: layers.Activation("linear")(y)},
    "nested": {"end": lambda y, kind: keras.Sequential([layers.Activation(kind)], name="head")(y)},
    "twice nested": {
        "end": lambda y, kind: keras.Sequential(
            [keras.Sequential([layers.Reshape((3,)), layers.Activation(kind)]), layers.Identity()]
        )(y)
    },
    "nested functional": {
        "end": lambda y, kind: keras.Model(i := keras.Input((3,)), layers.Activation(kind)(layers.Dropout(0.1)(i)))(y)
    },
}


ALSO_SIGMOID = ("dense, name", "dense, operation", "activation, function", "operation", "reshape before, flatten after")


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        pytest.param(kind, parts, id=f"{kind}, {name}")
        for name, parts in ENDS.items()
        for kind in (("softmax", "sigmoid") if name in ALSO_SIGMOID else ("softmax",))
    ]
    + [
        pytest.param("softmax", {"end": lambda y, kind: layers.Softmax()(y)}, id="softmax layer"),
        pytest.param("softmax", {"end": lambda y, kind: layers.Softmax(axis=1)(y)}, id="softmax layer on axis 1"),
        pytest.param(
            "softmax",
            {"end": lambda y, kind: layers.Flatten()(layers.Softmax()(layers.Reshape((1, 3))(y)))},
            id="softmax layer between reshapes",
        ),
    ],
)
def test_logits_are_reached_below_the_last_activation(kind, parts):
    activation = parts.get("activation")
    activation = kind if activation == "{}" else activation and activation(kind)
    end = parts.get("end") and (lambda y: parts["end"](y, kind))
    model, x = conv_gap_dense(activation=activation, end=end), pictures()
    assert_link(model, x, kind)


def assert_link(model, x, link):
    z, probability = logits(model, x), {"softmax": softmax, "sigmoid": sigmoid}[link]
    np.testing.assert_allclose(numpy(run(model, x)), probability(z), **CLOSE)  # the model ends as it says
    given = capture(model, x, ["relu2"], [[0, 1, 2]] * 2)
    assert (given.outputs_kind, given.link) == ("logits", link)
    shift = z - given.outputs
    np.testing.assert_allclose(shift, shift[:, :1].repeat(3, 1) if link == "softmax" else 0, atol=1e-5)
    rows = np.broadcast_to(rows_of(model)[:, :, None, None] / 54, (2, 3, 5, 6, 9))
    np.testing.assert_allclose(given.gradients["relu2"], rows, **CLOSE)
    scores = xaicore.explain(model, x, [[0, 1, 2]] * 2, layer="relu2").scores
    np.testing.assert_allclose(scores, probability(z).reshape(-1), **CLOSE)


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_logits_of_a_subclassed_model_whose_last_layer_has_the_activation(link):
    assert_link(Subclassed(activation=link), pictures(), link)

    class Net(Subclassed):
        def call(self, x):
            return self.head(super().call(x))

    head = keras.Sequential([layers.Dropout(0.5), layers.Activation(link)], name="head")
    assert_link(Net(head=head), pictures(), link)


@pytest.mark.parametrize(
    ("end", "link", "where"),
    [
        (ops.softmax, "softmax", "call"),
        (ops.sigmoid, "sigmoid", "call"),
        (lambda y: ops.exp(y) / ops.sum(ops.exp(y), axis=1, keepdims=True), "softmax", "call"),
        (ops.softmax, "softmax", "lambda layer"),
        (ops.softmax, "softmax", "layer"),
        (ops.sigmoid, "sigmoid", "layer"),
    ],
    ids=[
        "softmax",
        "sigmoid",
        "softmax by hand",
        "softmax in a lambda layer",
        "softmax in a layer of one's own",
        "sigmoid in a layer of one's own",
    ],
)
def test_an_end_that_nobody_can_look_into_gives_the_maps_of_the_logits(end, link, where):
    class Own(layers.Layer):
        def call(self, y):
            return end(y)

    if where == "call":
        model = Subclassed(end=end)
    else:
        model = conv_gap_dense(end=Own() if where == "layer" else layers.Lambda(lambda y: end(y)))
    x = pictures()
    explanation = xaicore.explain(model, x, [[0, 1, 2]] * 2)
    z, w = logits(model, x), rows_of(model)
    probability = softmax(z) if link == "softmax" else sigmoid(z)
    if explanation.outputs_kind == "probabilities":
        np.testing.assert_allclose(explanation.outputs, probability, **CLOSE)
        if link == "softmax":
            w = w - w.mean(0)  # of the centred logits: all that a softmax leaves
    else:  # torch's autograd shows the operation below the end
        assert (explanation.outputs_kind, BACKEND) == ("logits", "torch")
    expected = np.maximum(np.einsum("kc,nchw->nkhw", w, features(model, x)) / 54, 0)
    np.testing.assert_allclose(explanation.maps.reshape(expected.shape), expected, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(explanation.scores.reshape(2, 3), probability, **CLOSE)


def test_a_log_softmax_that_nobody_can_look_into_gives_the_maps_of_its_outputs():
    model, x = Subclassed(end=ops.log_softmax), pictures()
    explanation = xaicore.explain(model, x, [[0, 1, 2]] * 2)
    assert explanation.outputs_kind == "logits"
    p, w = softmax(logits(model, x)), rows_of(model)
    slopes_of = w[None] - (p @ w)[:, None]  # of log p
    expected = np.maximum(np.einsum("nkc,nchw->nkhw", slopes_of, features(model, x)) / 54, 0)
    np.testing.assert_allclose(explanation.maps.reshape(expected.shape), expected, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(explanation.scores.reshape(2, 3), p, **CLOSE)


def test_a_sigmoid_with_one_output_that_nobody_can_look_into():
    model, x = Subclassed(classes=1, end=ops.sigmoid), pictures()
    explanation = xaicore.explain(model, x, [[1, 0]] * 2)
    expected = gradcam(model, x, [[1, -1]] * 2)
    np.testing.assert_allclose(explanation.maps.reshape(expected.shape), expected, rtol=1e-3, atol=1e-6)
    p = sigmoid(logits(model, x))[:, 0]
    np.testing.assert_allclose(explanation.scores, np.stack([p, 1 - p], 1).reshape(-1), **CLOSE)


@pytest.mark.parametrize("net", ["dense", "flatten after", "activation", "fully convolutional", "add"])
def test_linear_ends_are_logits_without_a_link(net):
    if net == "fully convolutional":
        i = keras.Input((6, 9, 1))
        model = settle(keras.Model(i, layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1)(body(i)))))
    else:
        end = {
            "dense": None,
            "flatten after": lambda y: layers.Flatten()(layers.Reshape((3, 1))(y)),
            "activation": lambda y: layers.Activation("linear")(layers.Dropout(0.5)(y)),
            "add": lambda y: layers.Add()([y, layers.Dense(3, name="other")(y)]),
        }[net]
        model = conv_gap_dense(end=end)
    x = pictures()
    given = capture(model, x, ["relu2"])
    assert (given.outputs_kind, given.link) == ("logits", None)
    np.testing.assert_allclose(given.outputs, numpy(run(model, x)), **CLOSE)
    _, g = truth(model, x, "relu2", PAIRS)
    np.testing.assert_allclose(given.gradients["relu2"], channels_first(g, at=2), **CLOSE)


def test_logits_that_happen_to_sum_to_one_are_still_logits():
    model = conv_gap_dense()
    model.get_layer("dense").kernel.assign(np.zeros((5, 3)))
    model.get_layer("dense").bias.assign([0.2, 0.3, 0.5])
    explanation = xaicore.explain(model, pictures(), 1)
    assert explanation.outputs_kind == "logits"
    np.testing.assert_allclose(explanation.scores, np.exp(0.3) / np.exp([0.2, 0.3, 0.5]).sum(), **CLOSE)


def test_one_softmax_layer_inside_of_the_model_and_at_its_end():
    i, shared = keras.Input((6, 9, 1)), layers.Softmax(name="shared")
    weighted = shared(body(i))  # over channels
    model, x = settle(keras.Model(i, shared(layers.Dense(3, name="dense")(mean(weighted))))), pictures()
    a = softmax(features(model, x))
    given = capture(model, x, ["relu2"])
    assert (given.outputs_kind, given.link) == ("logits", "softmax")
    z = a.mean((2, 3)) @ rows_of(model).T + numpy(model.get_layer("dense").bias)
    np.testing.assert_allclose(given.outputs - given.outputs[:, :1], z - z[:, :1], **CLOSE)
    w = rows_of(model)[PAIRS][..., None, None]  # through the softmax over channels
    expected = a[:, None] * (w - (a[:, None] * w).sum(2, keepdims=True)) / 54
    np.testing.assert_allclose(given.gradients["relu2"], expected, **CLOSE)


def test_a_softmax_over_positions_is_no_link_of_classes():
    model, x = segmenter(end=lambda y: layers.Softmax(axis=[1, 2])(y)), pictures()
    z = np.moveaxis(numpy(segmenter()(x)), -1, 1)
    given = KerasBackend(model).capture(x, ["relu2"])
    assert given.link is None
    p = softmax(z.reshape(2, 3, -1).reshape(6, -1)).reshape(z.shape)
    np.testing.assert_allclose(given.outputs, p, **CLOSE)
    rows = KerasBackend(segmenter(end=lambda y: layers.Softmax(axis=1)(y))).capture(x, ["relu2"])
    assert rows.link is None
    np.testing.assert_allclose(rows.outputs.sum(axis=2), 1, atol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "tanh", "exponential"])
def test_other_activations_give_values(activation):
    model, x = conv_gap_dense(activation=activation), pictures()
    given = capture(model, x, ["relu2"])
    assert (given.outputs_kind, given.link) == ("values", None)
    np.testing.assert_allclose(given.outputs, numpy(run(model, x)), **CLOSE)
    _, g = truth(model, x, "relu2", PAIRS)
    np.testing.assert_allclose(given.gradients["relu2"], channels_first(g, at=2), **CLOSE)
    with pytest.raises(xaicore.TargetError, match="no class is predicted"):
        xaicore.explain(model, x)
    one = xaicore.explain(conv_gap_dense(classes=1, activation="softplus"), x)  # a regression: its only value
    np.testing.assert_array_equal(one.targets, [-1, -1])


@pytest.mark.parametrize("net", [conv_gap_dense, Subclassed])
def test_gradients_at_every_layer_equal_the_oracle_alone_and_together(net):
    model, x = net(), pictures()
    names = ["relu2", "conv1", "conv2", "relu1"]  # whatever the order
    together = capture(model, x, names)
    assert set(together.gradients) == set(together.activations) == set(names)
    assert together.input_size == (6, 9)
    for name in names:
        a, g = truth(model, x, name, PAIRS)
        alone = together if name.startswith("relu") else capture(model, x, [name])
        for given in (together, alone):
            np.testing.assert_allclose(given.activations[name], channels_first(a), **CLOSE)
            np.testing.assert_allclose(given.gradients[name], channels_first(g, at=2), **CLOSE)
            assert given.activations[name].dtype == given.gradients[name].dtype == np.float32


def test_any_direction_is_pulled_back_and_asked_for_once_in_the_callers_thread():
    model, x, calls = conv_gap_dense(activation="softmax"), pictures(), []
    wanted = np.random.default_rng(3).normal(size=(2, 4, 3)).astype(np.float32)

    def direction(outputs, kind):
        calls.append((outputs, kind, threading.get_ident()))
        return wanted

    given = KerasBackend(model).capture(x, ["relu2"], direction)
    expected = np.einsum("nko,oc->nkc", wanted, rows_of(model))[..., None, None] / 54
    np.testing.assert_allclose(given.gradients["relu2"], np.broadcast_to(expected, (2, 4, 5, 6, 9)), **CLOSE)
    ((outputs, kind, thread),) = calls
    assert (type(outputs), outputs.dtype, kind, thread) == (np.ndarray, np.float32, "logits", threading.get_ident())
    np.testing.assert_array_equal(outputs, given.outputs)


def test_without_a_direction_nothing_is_pulled_back():
    model, x = conv_gap_dense(activation="softmax"), pictures()
    backend = KerasBackend(model)
    given = backend.capture(x, ["relu1", "relu2"])
    assert given.gradients == {}
    np.testing.assert_allclose(given.activations["relu2"], features(model, x), **CLOSE)
    z = logits(model, x)
    np.testing.assert_allclose(given.outputs - given.outputs[:, :1], z - z[:, :1], **CLOSE)
    np.testing.assert_allclose(backend.predict(x), given.outputs, **CLOSE)
    np.testing.assert_array_equal(backend.capture(x, ()).outputs, backend.predict(x))


@pytest.mark.parametrize("layer", ["relu1", "conv2"])
def test_a_gradient_of_zero_is_not_a_layer_that_does_not_reach_the_outputs(layer):
    model, x = conv_gap_dense(), pictures()
    zero = KerasBackend(model).capture(x, [layer], lambda outputs, kind: np.zeros((2, 1, 3), np.float32))
    assert not zero.gradients[layer].any()
    model.get_layer("conv2").bias.assign(np.full(5, -100.0))  # every unit of the ReLU behind is shut
    given = capture(model, x, [layer])
    assert not given.gradients[layer].any()
    assert given.gradients[layer].shape[:2] == (2, 2)
    assert xaicore.explain(model, x, layer=layer).empty.all()


class Reused(keras.Model):
    """One convolution and one ReLU that run `runs` times."""

    def __init__(self, runs=3):
        super().__init__()
        self.first = layers.Conv2D(4, 3, padding="same", name="first")
        self.conv = layers.Conv2D(4, 3, padding="same", name="conv")
        self.relu = layers.ReLU(name="relu")
        self.dense = layers.Dense(3, name="dense")
        self.runs = runs
        self(pictures())
        settle(self)

    def call(self, x):
        x = self.relu(self.first(x))
        for _ in range(self.runs):
            x = self.relu(self.conv(x))
        return self.dense(ops.mean(x, axis=(1, 2)))


@pytest.mark.parametrize("surveyed", [False, True])
def test_a_layer_that_runs_several_times_counts_by_its_last_run(surveyed):
    model, x = Reused(), pictures()
    backend = KerasBackend(model)
    if surveyed:
        assert [layer.name for layer in backend.layers(x)] == ["first", "conv", "relu", "dense"]
    aim = targets.Classes(PAIRS)
    for names in (["relu"], ["conv", "first", "relu"]):  # a reused layer does not cut off those before it
        given = backend.capture(x, names, lambda outputs, kind: aim.aim(outputs, kind).direction)
        for name in names:
            a, g = truth(model, x, name, PAIRS)
            np.testing.assert_allclose(given.activations[name], channels_first(a), **CLOSE)
            np.testing.assert_allclose(given.gradients[name], channels_first(g, at=2), **CLOSE)


def closed_forms(model, x, c):
    """Every method by its formula in methods.md, for gradients that are the dense row over the positions."""
    a = features(model, x)
    n, _, h, w = a.shape
    row = rows_of(model)[c]
    flat = a.reshape(n, 5, -1)
    g = row[None, :, None, None] / (h * w) * np.ones_like(a)
    total = a.sum(axis=(2, 3))
    plain = np.einsum("c,nchw->nhw", row, a)
    alpha = 1 / (2 + total * row / (h * w))
    plus = h * w * np.maximum(row / (h * w), 0) * alpha
    random = np.random.default_rng(0).uniform(-1, 1, 5)

    def component(features):
        centred = features.swapaxes(1, 2) - features.swapaxes(1, 2).mean(1, keepdims=True)
        first = np.stack([rows @ np.linalg.svd(rows)[2][0] for rows in centred])
        sums = features.sum(1) - features.sum(1).mean(1, keepdims=True)
        return (first * np.sign((first * sums).sum(1, keepdims=True))).reshape(n, h, w)

    return {
        "cam": plain,
        "gradcam": plain / (h * w),
        "gradcam++": np.einsum("nc,nchw->nhw", plus, a),
        "xgradcam": plain / (h * w),
        "hirescam": plain / (h * w),
        "gradcam-elementwise": np.maximum(g * a, 0).sum(1),
        "layercam": (np.maximum(g, 0) * a).sum(1),
        "eigencam": component(flat),
        "eigengradcam": component((g * a).reshape(n, 5, -1)),
        "random": np.einsum("c,nchw->nhw", random, a),
    }


def test_every_method_of_one_pass_is_its_closed_form():
    model, x = conv_gap_dense(), pictures()
    expected = closed_forms(model, x, 1)
    found = xaicore.Explainer(model).compare(x, list(expected), 1)
    for method, explanation in found.items():
        maps = np.maximum(expected[method], 0)
        assert maps.any(), method
        np.testing.assert_allclose(explanation.maps, maps, rtol=1e-4, atol=1e-5 * maps.max(), err_msg=method)


def test_several_layers_are_fused():
    i = keras.Input((6, 9, 1))
    pooled = layers.AveragePooling2D(3, name="pool")(body(i))
    model = settle(keras.Model(i, layers.Dense(3)(mean(layers.Conv2D(4, 1, name="last")(pooled)))))
    x = pictures()
    parts = []
    for name in ("relu2", "last"):
        a, g = truth(model, x, name, PAIRS)
        maps = np.maximum(np.einsum("nkc,nhwc->nkhw", g.mean(axis=(2, 3)), a), 0).astype(np.float32)
        parts.append(xaicore.maps.resize(xaicore.maps.normalize(maps.reshape(4, *a.shape[1:3])), (6, 9)))
        assert parts[-1].any()
    explanation = xaicore.explain(model, x, PAIRS, layer=["last", "relu2"])
    assert explanation.layer == "last + relu2"
    np.testing.assert_allclose(explanation.maps, (parts[0] + parts[1]) / 2, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(9,), (3, 4, 5), (1, 9), (6, 1)])
def test_signals_volumes_and_flat_pictures(size):
    model = conv_gap_dense(channels=3, size=size)
    x = np.random.default_rng(2).normal(size=(2, *size, 3)).astype(np.float32)
    explanation = xaicore.explain(model, x, [[1, 2]] * 2)
    assert explanation.layer == "relu2"
    assert explanation.input_size == size
    np.testing.assert_allclose(explanation.maps, gradcam(model, x, [[1, 2]] * 2).reshape(4, *size), **CLOSE)
    assert explanation.heatmaps().shape == (4, *size)
    assert len(explanation.images) == 2
    if 1 not in size:
        given = capture(model, x, ["conv1"])
        a, g = truth(model, x, "conv1", PAIRS)
        np.testing.assert_allclose(given.activations["conv1"], channels_first(a), **CLOSE)
        np.testing.assert_allclose(given.gradients["conv1"], channels_first(g, at=2), **CLOSE)


def segmenter(end=None, activation=None):
    i = keras.Input((6, 9, 1))
    y = layers.Conv2D(3, 3, padding="same", activation=activation, name="scores")(body(i))
    return settle(keras.Model(i, y if end is None else end(y)))


class Region(targets.Target):
    """The score of one class over a part of the picture that is not symmetric."""

    mask = np.zeros((6, 9), np.float32)
    mask[1:3, 2:8] = 1

    def aim(self, outputs, kind):
        direction = np.zeros((len(outputs), 1, *outputs.shape[1:]), np.float32)
        direction[:, :, 1] = self.mask
        return targets.Aim(direction, np.full((len(outputs), 1), -1))


@pytest.mark.parametrize(
    ("parts", "link"),
    [
        ({}, None),
        ({"end": lambda y: layers.Softmax()(y)}, "softmax"),
        ({"activation": "softmax"}, "softmax"),
        ({"activation": "sigmoid"}, "sigmoid"),
    ],
)
def test_segmentation_has_its_classes_at_axis_1(parts, link):
    model, plain, x = segmenter(**parts), segmenter(), pictures()
    given = KerasBackend(model).capture(x, ["relu2"], lambda o, kind: Region().aim(o, kind).direction)
    assert given.outputs.shape == (2, 3, 6, 9)
    assert (given.outputs_kind, given.link) == ("logits", link)
    shift = given.outputs - np.moveaxis(numpy(plain(x)), -1, 1)
    np.testing.assert_allclose(shift - (shift[:, :1] if link == "softmax" else 0), 0, atol=1e-5)

    def score(y):
        return ops.sum(y[..., 1] * ops.convert_to_tensor(Region.mask), axis=(1, 2))[:, None]

    a, g = truth(plain, x, "relu2", [[0], [0]], score)
    np.testing.assert_allclose(given.gradients["relu2"], channels_first(g, at=2), **CLOSE)
    explanation = xaicore.explain(model, x, Region(), layer="relu2", method="hirescam")
    np.testing.assert_allclose(explanation.maps, np.maximum((g[:, 0] * a).sum(-1), 0), **CLOSE)
    assert explanation.outputs.shape == (2, 3, 6, 9)


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_segmentation_with_an_end_that_nobody_can_look_into(link):
    class Segmenter(Subclassed):
        def call(self, x):
            return getattr(ops, link)(self.dense(self.features(x)))

    model, x = Segmenter(), pictures()
    assert KerasBackend(model).observe(x).class_axis is None
    given = KerasBackend(model, Output(axes="nhwc")).capture(x, ["relu2"])
    p = np.moveaxis(numpy(run(model, x)), -1, 1)
    if given.outputs_kind == "logits":  # torch's autograd shows the operation
        assert (BACKEND, given.link) == ("torch", link)
    else:
        assert given.outputs_kind == "probabilities"
        np.testing.assert_allclose(given.outputs, p, **CLOSE)


@pytest.mark.parametrize("form", [pytest.param("channels first", marks=needs_onednn), "signal"])
def test_segmentation_of_other_forms(form):
    if form == "channels first":
        i = keras.Input((1, 6, 9))
        a = layers.Conv2D(4, 3, padding="same", data_format="channels_first", name="conv")(i)
        y = layers.Conv2D(3, 1, data_format="channels_first")(a)
        x, axis = channels_first(pictures()), 1
    else:
        i = keras.Input((9, 2))
        y = layers.Conv1D(3, 1)(layers.Conv1D(4, 3, padding="same", name="conv")(i))
        x, axis = np.random.default_rng(1).normal(size=(2, 9, 2)).astype(np.float32), -1
    model = settle(keras.Model(i, y))
    direction = np.zeros((2, 1, 3, *((6, 9) if axis == 1 else (9,))), np.float32)
    direction[:, :, 1, 1:3] = 1
    given = KerasBackend(model).capture(x, ["conv"], lambda outputs, kind: direction)
    np.testing.assert_allclose(given.outputs, channels_first(numpy(run(model, x)), axis), **CLOSE)
    weights = numpy(model.layers[-1].kernel).reshape(4, 3)[:, 1]
    expected = np.zeros((2, 1, 4, *direction.shape[3:]))
    expected[:, :, :, 1:3] = weights.reshape(4, *[1] * (expected.ndim - 3))
    np.testing.assert_allclose(given.gradients["conv"], expected, **CLOSE)


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_a_recurrent_layer_with_an_activation_at_the_end(link):
    """Its activation is in its cell, and every step goes through it: it cannot be taken off."""
    i = keras.Input((6, 9, 1))
    rows = layers.Reshape((6, 36))(layers.Conv2D(4, 3, padding="same", name="conv")(i))
    model, x = settle(keras.Model(i, layers.SimpleRNN(3, activation=link)(rows))), pictures()
    explanation = xaicore.explain(model, x, [[0, 1]] * 2, layer="conv", method="hirescam")
    p = numpy(run(model, x)).astype(np.float64)
    a, g = truth(model, x, "conv", [[0, 1, 2]] * 2)  # of the probabilities
    if link == "softmax":
        back = np.stack([np.eye(3)[c] / p[:, [c]] - 1 / (3 * p) for c in (0, 1)], axis=1)
    else:
        back = np.stack([np.eye(3)[c] / (p * (1 - p)) for c in (0, 1)], axis=1)
    expected = np.maximum(np.einsum("nko,nohwc,nhwc->nkhw", back, g, a), 0)
    np.testing.assert_allclose(explanation.outputs, p, **CLOSE)
    if link == "softmax" or explanation.outputs_kind == "probabilities":
        np.testing.assert_allclose(explanation.maps.reshape(expected.shape), expected, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(explanation.scores.reshape(2, 2), p[:, :2], **CLOSE)
    else:  # nothing but the layer's word tells that these are probabilities
        assert explanation.outputs_kind == "values"


def test_a_fully_convolutional_classifier():
    i = keras.Input((6, 9, 1))
    y = layers.Softmax()(layers.Conv2D(3, 1, name="dense")(layers.GlobalAveragePooling2D(keepdims=True)(body(i))))
    model, x = settle(keras.Model(i, y)), pictures()
    explanation = xaicore.explain(model, x, [[0, 2]] * 2)
    assert (explanation.layer, explanation.outputs.shape) == ("relu2", (2, 3, 1, 1))
    flat = conv_gap_dense()
    np.testing.assert_allclose(explanation.maps, gradcam(flat, x, [[0, 2]] * 2).reshape(4, 6, 9), **CLOSE)
    np.testing.assert_allclose(explanation.scores, softmax(logits(flat, x))[:, [0, 2]].reshape(-1), **CLOSE)


def test_a_sigmoid_that_drops_the_only_column():
    model = conv_gap_dense(classes=1, activation="sigmoid", end=lambda y: ops.squeeze(y, axis=-1))
    x = pictures()
    explanation = xaicore.explain(model, x, 0)
    assert (explanation.outputs.shape, explanation.outputs_kind) == ((2,), "logits")
    np.testing.assert_allclose(explanation.maps, gradcam(model, x, [[-1]] * 2)[:, 0], **CLOSE)
    np.testing.assert_allclose(explanation.scores, 1 - sigmoid(logits(model, x))[:, 0], **CLOSE)


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_probabilities_that_have_been_rounded_to_0_and_1_still_have_logits(link):
    model = conv_gap_dense(end=lambda y: layers.Activation(link)(layers.Rescaling(1e4)(y)))
    x = pictures()
    assert set(np.unique(numpy(model(x)))) == {0.0, 1.0}
    explanation = xaicore.explain(model, x, [[0, 1, 2]] * 2)
    expected = 1e4 * gradcam(conv_gap_dense(), x, [[0, 1, 2]] * 2).reshape(6, 6, 9)
    np.testing.assert_allclose(explanation.maps, expected, rtol=1e-4, atol=1e-2)


# -- resume


def skipping():
    """A connection across relu2, and a second input behind it."""
    i, shift = keras.Input((6, 9, 1), name="image"), keras.Input((3,), name="shift")
    a = layers.Conv2D(5, 1, name="across")(i)
    joined = layers.Add(name="joined")([body(i), a])
    y = layers.Dense(3, name="dense")(mean(layers.ReLU()(joined)))
    return settle(keras.Model([i, shift], layers.Softmax()(layers.Add(name="shifted")([y, shift]))))


@pytest.mark.parametrize("repeats", [1, 3])
def test_resume_runs_the_rest_of_the_model(repeats):
    model, x = conv_gap_dense(activation="softmax"), pictures()
    backend = KerasBackend(model)
    a = features(model, x)
    given = a.repeat(repeats, 0) * np.random.default_rng(4).normal(size=(2 * repeats, 5, 6, 9))
    z = given.mean((2, 3)) @ rows_of(model).T + numpy(model.get_layer("dense").bias)
    outputs = backend.resume(x, "relu2", given.astype(np.float32))
    assert (outputs.shape, outputs.dtype) == ((2 * repeats, 3), np.float32)
    np.testing.assert_allclose(outputs - outputs[:, :1], z - z[:, :1], **CLOSE)
    np.testing.assert_allclose(backend.resume(x, "relu2", a.astype(np.float32)), backend.predict(x), **CLOSE)


@pytest.mark.parametrize("repeats", [1, 3])
def test_resume_reads_the_other_inputs_and_what_goes_across_from_its_own_image(repeats):
    model, x = skipping(), pictures()
    shift = np.random.default_rng(5).normal(size=(2, 3)).astype(np.float32)
    given = np.random.default_rng(4).normal(size=(2 * repeats, 5, 6, 9)).astype(np.float32)
    across = np.moveaxis(x, -1, 1).repeat(repeats, 0) * numpy(model.get_layer("across").kernel)[0, 0, 0][:, None, None]
    across = across + numpy(model.get_layer("across").bias)[:, None, None]
    z = np.maximum(given + across, 0).mean((2, 3)) @ rows_of(model).T + numpy(model.get_layer("dense").bias)
    z = z + shift.repeat(repeats, 0)
    outputs = KerasBackend(model).resume([x, shift], "relu2", given)
    np.testing.assert_allclose(outputs - outputs[:, :1], z - z[:, :1], **CLOSE)


def test_resume_puts_the_last_run_of_a_reused_layer_in_its_place_and_follows_new_weights():
    model, x = Reused(), pictures()
    backend = KerasBackend(model)
    given = np.random.default_rng(4).normal(size=(2, 4, 6, 9)).astype(np.float32)
    for scale in (1, 2):
        model.dense.kernel.assign(scale * numpy(model.dense.kernel))
        z = given.mean((2, 3)) @ rows_of(model).T + numpy(model.dense.bias)
        np.testing.assert_allclose(backend.resume(x, "relu", given), z, **CLOSE)


@pytest.mark.parametrize("wrong", [(2, 4, 6, 9), (2, 5, 9, 6), (2, 6, 9, 5), (3, 5, 6, 9), (0, 5, 6, 9)])
def test_resume_refuses_activations_that_do_not_fit(wrong, unchanged):
    model = conv_gap_dense()
    with unchanged(model), pytest.raises(xaicore.XaicoreError, match=r"\(\d, \d, \d, \d\)"):
        KerasBackend(model).resume(pictures(), "relu2", np.zeros(wrong, np.float32))


# -- the classifier, for CAM


def conv_head(y):
    return layers.Flatten()(layers.Conv2D(3, 1, name="dense")(y))


CLASSIFIERS = {
    "dense": lambda a: layers.Dense(3, name="dense")(mean(a)),
    "dense, softmax": lambda a: layers.Dense(3, activation="softmax", name="dense")(mean(a)),
    "dropout between": lambda a: layers.Dense(3, name="dense")(layers.Dropout(0.5)(mean(a))),
    "flatten between": lambda a: layers.Softmax()(
        layers.Dense(3, name="dense")(layers.Flatten()(layers.GlobalAveragePooling2D(keepdims=True)(a)))
    ),
    "convolution behind": lambda a: conv_head(layers.GlobalAveragePooling2D(keepdims=True)(a)),
    "one output": lambda a: layers.Dense(1, activation="sigmoid", name="dense")(mean(a)),
    "nested head": lambda a: keras.Sequential(
        [layers.GlobalAveragePooling2D(), layers.Dropout(0.1), layers.Dense(3, name="dense")], name="head"
    )(a),
    "mean in the graph": lambda a: layers.Dense(3, name="dense")(ops.mean(a, axis=[1, 2])),
    "without bias": lambda a: layers.Dense(3, use_bias=False, name="dense")(mean(a)),
}


@pytest.mark.parametrize("head", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_cam_reads_the_classifier_whatever_lies_between(head):
    i = keras.Input((6, 9, 1))
    model, x = settle(keras.Model(i, head(body(i)))), pictures()
    path = "dense" if any(layer.name == "dense" for layer in model.layers) else "head/dense"
    dense = model.get_layer("head").get_layer("dense") if path != "dense" else model.get_layer("dense")
    w = numpy(dense.kernel).reshape(5, -1).T
    backend = KerasBackend(model)
    np.testing.assert_allclose(backend.classifier_weights(x, "relu2"), w, rtol=1e-6)
    both = xaicore.Explainer(model, layer="relu2").compare(x, ["cam", "gradcam"], [[0, 1]] * 2)
    np.testing.assert_allclose(both["cam"].maps, 54 * both["gradcam"].maps, rtol=1e-4, atol=1e-5)
    direction = w[[0, 1]] if len(w) > 1 else np.stack([-w[0], w[0]])
    expected = np.maximum(np.einsum("kc,nchw->nkhw", direction, features(model, x)), 0)
    np.testing.assert_allclose(both["cam"].maps.reshape(expected.shape), expected, **CLOSE)


def test_cam_of_a_subclassed_model_that_takes_the_mean_itself_follows_new_weights():
    model, x = Subclassed(end=ops.softmax), pictures()
    explainer = xaicore.Explainer(model, "cam", layer="relu2")
    for scale in (1, 2):
        model.dense.kernel.assign(scale * numpy(model.dense.kernel))
        expected = np.maximum(evidence(model, x, [[1], [1]])[:, 0], 0)
        np.testing.assert_allclose(explainer(x, 1).maps, expected, **CLOSE)


@pytest.mark.parametrize(
    ("head", "layer"),
    [
        (lambda a: layers.Dense(3)(layers.GlobalMaxPooling2D()(a)), "relu2"),
        (lambda a: layers.Dense(3)(layers.Dense(4, activation="relu")(mean(a))), "relu2"),
        (lambda a: layers.Dense(3)(layers.Flatten()(a)), "relu2"),
        (lambda a: layers.Dense(3)(mean(a)), "relu1"),
        (lambda a: layers.Dense(3)(mean(a)), "conv2"),
        (lambda a: layers.Dense(3)(layers.Activation("tanh")(mean(a))), "relu2"),
        (lambda a: layers.Dense(3)(layers.BatchNormalization()(mean(a))), "relu2"),
        (lambda a: layers.Dense(3)(mean(layers.Add()([a, a]))), "relu2"),
        (lambda a: layers.Dense(3)(layers.Concatenate()([mean(a), layers.GlobalMaxPooling2D()(a)])), "relu2"),
        (lambda a: layers.Dense(3)(ops.mean(a, axis=[1])[:, 0]), "relu2"),
        (lambda a: layers.Add()([layers.Dense(3)(mean(a)), layers.Dense(3)(layers.Flatten()(a))]), "relu2"),
    ],
    ids=[
        "max pooling", "two dense layers", "flatten", "layers between", "relu between", "tanh after the mean",
        "batch norm after the mean", "two paths", "another pooling beside", "mean over rows", "another way round",
    ],
)  # fmt: skip
def test_cam_refuses_other_nets_and_offers_grad_cam(head, layer, unchanged):
    i = keras.Input((6, 9, 1))
    model = settle(keras.Model(i, head(body(i))))
    with unchanged(model), pytest.raises(xaicore.MethodError, match=r"global average pooling.*method='gradcam'"):
        xaicore.explain(model, pictures(), 1, method="cam", layer=layer)

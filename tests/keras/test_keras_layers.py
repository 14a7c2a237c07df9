"""Which layers there are and what they are called, which one is taken, and what happens with a wrong one."""

import contextlib
import os

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras_arranged import KerasBackend
from keras_nets import (
    BACKEND,
    CLOSE,
    Attending,
    Residual,
    Subclassed,
    TakesSeveral,
    body,
    body_model,
    channels_first,
    conv_gap_dense,
    functional,
    gradcam,
    head,
    mean,
    needs_onednn,
    numpy,
    pictures,
    settle,
    truth,
)

import xaicore
from xaicore import Layer


def listed(model, x=None):
    return list(KerasBackend(model).layers(pictures() if x is None else x))


def names(model, x=None):
    return [layer.name for layer in listed(model, x)]


@pytest.mark.parametrize("net", [conv_gap_dense, Subclassed])
def test_every_layer_in_order_of_completion(net):
    expected = [
        Layer("conv1", "Conv2D", (1, 4, 6, 9), True),
        Layer("relu1", "ReLU", (1, 4, 6, 9), True),
        Layer("conv2", "Conv2D", (1, 5, 6, 9), True),
        Layer("relu2", "ReLU", (1, 5, 6, 9), True),
        Layer("gap", "GlobalAveragePooling2D", (1, 5), False, True),
        Layer("dense", "Dense", (1, 3), False),
    ]
    found = listed(net())
    assert found == [layer for layer in expected if net is conv_gap_dense or layer.name != "gap"]
    assert all(type(n) is int for layer in found for n in layer.shape)


@pytest.mark.parametrize("size", [(9,), (3, 4, 5)])
def test_shapes_of_signals_and_volumes(size):
    model = conv_gap_dense(channels=2, size=size)
    found = {layer.name: layer for layer in listed(model, np.zeros((3, *size, 2), np.float32))}
    assert found["conv1"].shape == (1, 4, *size)
    assert [name for name, layer in found.items() if layer.spatial] == ["conv1", "relu1", "conv2", "relu2"]


def test_nested_layers_are_paths_and_a_shared_output_has_its_outermost_name():
    inner = keras.Sequential([layers.Conv2D(4, 3, name="conv"), layers.ReLU(name="relu")], name="inner")
    pool = keras.Sequential([layers.Conv2D(3, 1, name="conv"), layers.MaxPooling2D(2, name="pool")], name="pooled")
    outer = keras.Sequential([inner, pool], name="outer")
    parts = [outer, layers.Dropout(0.5, name="drop"), layers.Identity(name="same"), layers.Flatten(name="flat")]
    model = settle(keras.Sequential([keras.Input((6, 9, 1)), *parts, layers.Dense(3, name="dense")]))
    found = listed(model)
    paths = ["outer/inner/conv", "outer/inner", "outer/pooled/conv", "outer", "drop", "same", "flat", "dense"]
    assert [layer.name for layer in found if layer.name not in ("drop", "same")] == [
        path for path in paths if path not in ("drop", "same")
    ]
    shapes = {layer.name: layer.shape for layer in found}
    assert shapes["outer/inner"] == (1, 4, 4, 7)
    assert shapes["outer"] == (1, 3, 2, 3)
    # Pooling shows through containers, dropout and identity.
    assert {layer.name for layer in found if layer.pooled} == {"outer"} | ({"drop", "same"} & set(shapes))
    assert xaicore.default_layer(found) == "outer/pooled/conv"
    given = KerasBackend(model).capture(pictures(), ["outer/inner/relu", "outer/inner", "outer/pooled/pool", "outer"])
    for inside, outside in (("outer/inner/relu", "outer/inner"), ("outer/pooled/pool", "outer")):
        np.testing.assert_array_equal(given.activations[inside], given.activations[outside])


def test_what_follows_pooling_is_no_longer_the_pooled_one():
    def whole(i):
        x = layers.MaxPooling2D(2, name="pool")(layers.Conv2D(4, 1, name="conv")(i))
        return layers.Dense(3)(layers.Flatten()(layers.ReLU(name="relu")(x)))

    found = {layer.name: layer.pooled for layer in listed(functional(whole))}
    assert (found["pool"], found["relu"]) == (True, False)
    assert xaicore.explain(functional(whole), pictures()).layer == "relu"


@pytest.mark.parametrize(
    "pool",
    [
        lambda name: layers.AveragePooling2D(2, name=name),
        lambda name: type("Halve", (layers.MaxPooling2D,), {})(2, name=name),
        type("BlurPool2D", (layers.Layer,), {"call": lambda self, x: x[:, ::2, ::2] * 1}),
        type("AttentionPooling", (layers.Layer,), {"call": lambda self, x: x[:, ::2, ::2] * 1}),
    ],
)
def test_pooling_layers(pool):
    def whole(i):
        return layers.Dense(3)(layers.Flatten()(pool(name="last")(layers.Conv2D(4, 1, name="conv")(i))))

    assert xaicore.explain(functional(whole), pictures()).layer == "conv"


def test_a_second_layer_of_the_same_name_has_a_number():
    class Twice(Subclassed):
        def features(self, x):
            return self.relu2(self.again(self.relu1(self.conv1(x))))

    model = Twice(conv2=None, again=layers.Conv2D(5, 3, padding="same", name="conv1"))
    assert names(model) == ["conv1", "relu1", "conv1~2", "relu2", "dense"]
    given = KerasBackend(model).capture(pictures(), ["conv1", "conv1~2"])
    assert given.activations["conv1"].shape == (2, 4, 6, 9)
    assert given.activations["conv1~2"].shape == (2, 5, 6, 9)


def test_a_reused_layer_stands_where_its_last_run_ended():
    def whole(i):
        relu = layers.Activation("relu", name="relu")
        x = relu(layers.Conv2D(4, 1, name="first")(i))
        return layers.Dense(3, name="dense")(layers.Flatten(name="flat")(relu(layers.Conv2D(2, 1, name="second")(x))))

    found = listed(functional(whole))
    assert [layer.name for layer in found] == ["first", "second", "relu", "flat", "dense"]
    assert found[2].shape == (1, 2, 6, 9)


def test_layers_inside_of_a_layer():
    def whole(i):
        return head(Residual(name="block")(layers.Conv2D(4, 1, name="stem")(i)))

    assert names(functional(whole))[:4] == ["stem", "block/conv", "block/norm", "block"]


def test_channels_first_layers_keep_their_order():
    def whole(i):
        x = layers.Conv2D(5, 3, data_format="channels_first", name="conv")(i)
        return layers.Dense(3)(layers.Flatten()(layers.ReLU(name="relu")(x)))

    found = listed(functional(whole, (1, 6, 9)), pictures().transpose(0, 3, 1, 2))
    assert [layer.shape for layer in found[:2]] == [(1, 5, 4, 7), (1, 5, 4, 7)]


@needs_onednn
def test_the_global_layout_of_the_process():
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        model = conv_gap_dense_of((1, 6, 9))
        x = pictures().transpose(0, 3, 1, 2)
        explanation = xaicore.explain(model, x, 1)
    finally:
        keras.config.set_image_data_format(before)
    assert explanation.input_size == (6, 9)
    np.testing.assert_allclose(explanation.maps, gradcam(conv_gap_dense(), pictures(), [[1], [1]])[:, 0], **CLOSE)
    again = xaicore.explain(model, x, 1)  # the setting says nothing of a model that is there
    np.testing.assert_allclose(again.maps, explanation.maps, **CLOSE)
    assert {layer.name: layer.shape for layer in listed(model, x)}["relu2"] == (1, 5, 6, 9)


def conv_gap_dense_of(shape):
    i = keras.Input(shape)
    return settle(keras.Model(i, layers.Dense(3, name="dense")(mean(body(i)))))


def test_a_layer_with_several_outputs_is_its_first():
    found = {layer.name: layer for layer in listed(TakesSeveral())}
    assert found["several"].shape == (1, 5, 6, 9)
    assert found["several"].spatial


def test_a_layer_in_two_blocks_is_listed_once():
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    first = keras.Sequential([layers.Conv2D(4, 1, name="conv"), shared], name="first")
    second = keras.Sequential([shared, layers.ReLU(name="relu")], name="second")
    model = functional(lambda i: head(second(first(i))))
    assert names(model) == ["first/conv", "first", "first/shared", "second", "gap", "dense"]
    a, _ = truth(model, pictures(), "first/shared", [[1], [1]])
    given = KerasBackend(model).capture(pictures(), ["first/shared"]).activations["first/shared"]
    np.testing.assert_allclose(given, channels_first(a), **CLOSE)  # of its last run, in the second


def test_pieces_of_pictures_on_the_batch_axis_are_no_maps_of_the_picture():
    class Pieces(layers.Layer):
        def call(self, x):
            return ops.concatenate([x[:, :, 0:3], x[:, :, 3:6], x[:, :, 6:9]])

    class Net(Subclassed):
        def call(self, x):
            y = self.dense(ops.max(self.relu2(self.conv2(self.pieces(self.conv1(x)))), axis=(1, 2)))
            return sum(ops.split(y, 3))

    found = listed(Net(pieces=Pieces(name="pieces")), pictures(1))
    assert [layer.name for layer in found if layer.spatial] == ["conv1"]
    assert {layer.name: layer.shape for layer in found}["conv2"] == (3, 6, 3, 5)


def test_a_layers_own_word_counts_more_than_that_of_the_one_behind():
    def whole(i):
        x = layers.Conv2D(5, 3, data_format="channels_first", name="conv")(i)
        return layers.Dense(3)(layers.Flatten()(layers.BatchNormalization()(x)))  # over the wrong axis, as it happens

    found = listed(functional(whole, (1, 6, 9)), pictures().transpose(0, 3, 1, 2))
    assert found[0].shape == (1, 5, 4, 7)


# -- attention, score maps


def test_attention_weights_queries_and_keys_are_no_maps_of_the_picture():
    class Square(Attending):
        """As many tokens as a picture has rows: its attention weights look like maps."""

        def call(self, x):
            tokens = ops.reshape(self.patches(x), (-1, 6, 8))
            weighted, weights = self.attention(tokens, tokens, return_attention_scores=True)
            return self.dense(ops.mean(self.norm(weighted), axis=1)) + 0 * ops.mean(weights)

    found = listed(Square())
    assert [layer.name for layer in found if layer.spatial] == ["patches", "attention/attention_output", "norm"]
    assert {"attention/query", "attention/softmax"} <= {layer.name for layer in found}


def test_an_attention_model_is_explained_at_its_last_tokens():
    model, x = Attending(), pictures()
    explanation = xaicore.explain(model, x, 1)
    assert explanation.layer == "norm"
    a, g = truth(model, x, "norm", [[1], [1]])
    expected = np.maximum((g[:, 0].mean(axis=1, keepdims=True) * a).sum(axis=2), 0).reshape(2, 2, 3)
    np.testing.assert_allclose(explanation.maps, expected, **CLOSE)
    assert xaicore.explain(model, x, layer="patches").maps.shape == (2, 2, 3)


def test_score_maps_ask_for_a_layer():
    model = functional(lambda i: layers.Conv2D(2, 1)(layers.ReLU(name="relu")(layers.Conv2D(4, 3)(i))))
    with pytest.raises(xaicore.LayerError, match=r"outputs \(2, 2, 4, 7\) are a score per position.*layer="):
        xaicore.explain(model, pictures())
    explanation = xaicore.explain(model, pictures(), 1, layer="relu")  # where the class is predicted
    assert explanation.outputs.shape == (2, 2, 4, 7)
    assert (explanation.scores > 0.5).all()


def test_a_model_without_maps():
    model = functional(lambda i: layers.Dense(3)(layers.Flatten(name="flat")(i)))
    with pytest.raises(
        xaicore.LayerError,
        match=r"no layer gives a map of the picture.*; none has positions.* The last ones: flat \(1, 54\)",
    ):
        xaicore.explain(model, pictures())


# -- a wrong layer


def test_a_layer_that_does_not_exist(unchanged):
    model = keras.Sequential([keras.Input((6, 9, 1)), body_model(), layers.GlobalAveragePooling2D(), layers.Dense(3)])
    with unchanged(model):
        with pytest.raises(xaicore.LayerError, match=r"no layer called 'relu1'.*nearest names: .*body/relu1"):
            xaicore.explain(model, pictures(), layer="relu1")
        with pytest.raises(xaicore.LayerError, match=r"no layer called 'body/relu3'.*nearest names: .*body/relu2"):
            xaicore.explain(model, pictures(), layer=["body", "body/relu3"])
        with pytest.raises(xaicore.LayerError, match="no layer called 'zzz'"):
            xaicore.explain(model, pictures(), layer="zzz")


def test_the_input_layer_and_the_root_are_no_layers(unchanged):
    model = functional(lambda i: head(body(i)))
    with unchanged(model):
        for name in (model.layers[0].name, model.name, ""):
            with pytest.raises(xaicore.LayerError, match="no layer called"):
                xaicore.explain(model, pictures(), layer=name)


def test_a_layer_inside_of_a_loop_names_the_loop(unchanged):
    def whole(i):
        rows = layers.Reshape((6, 9))(i)
        cell = layers.StackedRNNCells([layers.LSTMCell(4, name="cell"), layers.LSTMCell(3)], name="cells")
        return layers.Dense(3)(layers.RNN(cell, name="loop")(rows))

    model = functional(whole)
    assert not [name for name in names(model) if name.startswith("loop/")]
    with unchanged(model), pytest.raises(xaicore.LayerError, match=r"'loop/cells/cell' .*'loop' \(RNN\)"):
        xaicore.explain(model, pictures(), 1, layer="loop/cells/cell")


def test_a_layer_that_never_runs(unchanged):
    model = Subclassed(spare=layers.Conv2D(1, 1, name="spare"))
    assert "spare" not in names(model)
    with unchanged(model), pytest.raises(xaicore.LayerError, match="'spare' never ran for this input"):
        xaicore.explain(model, pictures(), layer="spare")


def test_a_run_that_a_layer_does_not_have(unchanged):
    model = Subclassed()
    with unchanged(model), pytest.raises(xaicore.LayerError, match=r"^layer 'conv2' ran once for .* no run 2$"):
        KerasBackend(model).capture(pictures(), ["conv2#2"])


def test_a_layer_that_gives_no_tensor(unchanged):
    class Note(layers.Layer):
        def call(self, x):
            return "seen"

    class Net(Subclassed):
        def features(self, x):
            assert self.note(x) == "seen"
            return super().features(x)

    model = Net(note=Note(name="note"))
    assert "note" not in names(model)
    with unchanged(model), pytest.raises(xaicore.LayerError, match=r"'note' .*gave no tensor"):
        xaicore.explain(model, pictures(), layer="note")


class Aside(Subclassed):
    """A layer whose answer is not used."""

    def call(self, x):
        self.aside(x)
        return super().call(x)


def test_a_layer_that_does_not_reach_the_outputs(unchanged):
    model = Aside(aside=layers.Conv2D(2, 1, name="aside"))
    with unchanged(model):
        for layer in ("aside", ["relu2", "aside"]):
            with pytest.raises(xaicore.LayerError, match="'aside' does not reach the outputs"):
                xaicore.explain(model, pictures(), layer=layer)
        assert xaicore.explain(model, pictures(), method="eigencam", layer="aside").maps.shape == (2, 6, 9)


def test_a_layer_of_another_output_does_not_reach_this_one(unchanged):
    def whole(i):
        aside = layers.Conv2D(4, 3, name="conv")(i)
        return {"a": head(body(i)), "b": layers.Dense(3, name="b")(layers.Flatten()(aside))}

    model = functional(whole)
    with unchanged(model), pytest.raises(xaicore.LayerError, match="'conv' does not reach the outputs"):
        xaicore.explain(model, pictures(), layer="conv", output="a")
    assert xaicore.explain(model, pictures(), layer="conv", output="b").maps.shape == (2, 4, 7)


@pytest.mark.skipif(BACKEND == "jax", reason="JAX gives zeros, and shows nothing of it")
def test_a_layer_behind_which_the_gradient_is_stopped_does_not_reach_the_outputs(unchanged):
    class Stopped(Subclassed):
        def features(self, x):
            return ops.stop_gradient(super().features(x))

    model = Stopped()
    with unchanged(model), pytest.raises(xaicore.LayerError, match="'relu2' does not reach the outputs"):
        xaicore.explain(model, pictures(), 1, layer="relu2")


def test_a_layer_without_a_map(unchanged):
    model = conv_gap_dense()
    with unchanged(model), pytest.raises(xaicore.LayerError, match=r"'dense' gives \(1, 3\) .*, which is no map"):
        xaicore.explain(model, pictures(), layer="dense")


@pytest.mark.skipif(BACKEND != "tensorflow", reason="a SavedModel is TensorFlow's")
def test_layers_inside_of_an_imported_graph(tmp_path, unchanged):
    conv_gap_dense().export(tmp_path / "graph", verbose=False)
    imported = layers.TFSMLayer(tmp_path / "graph", call_endpoint="serve", name="imported")
    i = keras.Input((6, 9, 1))
    model = keras.Model(i, layers.Dense(3)(imported(layers.Conv2D(1, 3, padding="same", name="conv")(i))))
    with unchanged(model), pytest.raises(xaicore.LayerError, match=r"'imported/relu2'.*'imported' .*TFSMLayer"):
        xaicore.explain(model, pictures(), 1, layer="imported/relu2")
    assert xaicore.explain(model, pictures(), 1, layer="conv").maps.shape == (2, 6, 9)


@pytest.mark.skipif(BACKEND != "torch", reason="a module of torch's")
@pytest.mark.parametrize("called", [True, False])
def test_layers_inside_of_a_torch_module(called, unchanged):
    import torch

    module = torch.nn.Sequential(torch.nn.Conv2d(1, 5, 3), torch.nn.Dropout(0.9), torch.nn.BatchNorm2d(5)).train()

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.wrapped = keras.layers.TorchModuleWrapper(module, name="wrapped")
            self.dense = layers.Dense(3)

        def call(self, x):
            return self.dense(ops.mean(self.wrapped(ops.transpose(x, (0, 3, 1, 2))), axis=(2, 3)))

    model = Net()
    if called:
        model(pictures())
        module.train()
    before = [(part.training, len(part._forward_hooks)) for part in module.modules()]
    with unchanged(model) if called else contextlib.nullcontext():
        with pytest.raises(xaicore.LayerError, match=r"'wrapped/0'.*'wrapped' .*TorchModuleWrapper"):
            xaicore.explain(model, pictures(), 1, layer="wrapped/0")
        capture = KerasBackend(model).capture(pictures(), ["wrapped"], lambda o, kind: np.ones((2, 1, 3), np.float32))
        assert [(part.training, len(part._forward_hooks)) for part in module.modules()] == before
    rows = numpy(model.dense.kernel).sum(1)
    gradient = capture.gradients["wrapped"][:, 0]
    assert gradient.shape == (2, 5, 4, 7)  # torch's own layout, which no layer of Keras' states
    np.testing.assert_allclose(np.moveaxis(gradient, 1, -1) * 28, np.broadcast_to(rows, (2, 4, 7, 5)), rtol=1e-4)


# -- wrong inputs and values


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("given", [np.asarray, ops.convert_to_tensor])
def test_broken_inputs_are_counted(bad, given, unchanged):
    model, x = conv_gap_dense(), pictures()
    x[0, 0, :2, 0] = bad
    with unchanged(model), pytest.raises(xaicore.InputError, match=r"input.* has 2 NaN or infinite values of 108"):
        xaicore.explain(model, given(x))


def test_large_finite_inputs_are_fine():
    x = 0 * pictures()
    x[:, :3] = 3e38  # their sum overflows
    model = functional(lambda i: layers.Flatten()(layers.Rescaling(1e-30)(i)))
    np.testing.assert_allclose(KerasBackend(model).predict(x).reshape(x.shape), x * 1e-30, rtol=1e-5)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((0, 6, 9, 1), np.float32), r"the batch is empty: inputs \(0, 6, 9, 1\) float32"),
        (np.zeros((2, 1, 6, 9), np.float32), r"shape \(2, 1, 6, 9\).*\(None, 6, 9, 1\).*channels"),
        (np.zeros((2, 6, 9, 3), np.float32), r"shape \(2, 6, 9, 3\).*\(None, 6, 9, 1\)"),
        (np.zeros((2, 9, 6, 1), np.float32), r"shape \(2, 9, 6, 1\).*\(None, 6, 9, 1\)"),
        (np.zeros((2, 2, 6, 9, 1), np.float32), r"shape \(2, 2, 6, 9, 1\).*\(None, 6, 9, 1\)"),
        ("picture.jpg", r"x is the path 'picture\.jpg', and nothing says how this model's pictures are prepared"),
        ({}, r"no tensor or array among the inputs \(dict\)"),
        (None, r"no tensor or array among the inputs \(NoneType\)"),
        (np.array(["a"]), r"array of type <U1"),
    ],
)
def test_inputs_that_the_model_cannot_take(x, message, unchanged):
    model = conv_gap_dense()
    with unchanged(model), pytest.raises(xaicore.InputError, match=message):
        xaicore.explain(model, x)


def test_pictures_without_their_one_channel_where_keras_takes_them():
    model, x = conv_gap_dense(), pictures()
    assert numpy(model(x[..., 0])).shape == (2, 3)
    explanation = xaicore.explain(model, x[..., 0], 1)
    np.testing.assert_allclose(explanation.maps, gradcam(model, x, [[1], [1]])[:, 0], **CLOSE)
    assert explanation.input_size == (6, 9)


@pytest.mark.parametrize("size", [(None, None), (6, 9)])
def test_a_wrong_layout_of_a_picture_with_colours(size, unchanged):
    model, x = conv_gap_dense(channels=3, size=size), pictures(channels=3)
    with unchanged(model), pytest.raises(xaicore.InputError, match=r"\(2, 3, 6, 9\).*channels"):
        xaicore.explain(model, x.transpose(0, 3, 1, 2))


def test_several_inputs_of_different_length(unchanged):
    model = functional(lambda a, b: layers.Add()([head(body(a)), b]), (6, 9, 1), (3,))
    with unchanged(model), pytest.raises((xaicore.InputError, xaicore.BackendError), match=r"\(2, 6, 9, 1\).*\(3, 3\)"):
        xaicore.explain(model, [pictures(), np.zeros((3, 3), np.float32)])


def test_a_models_own_error_is_named_with_the_inputs(unchanged):
    model, x = Subclassed(), pictures(channels=3)
    with unchanged(model), pytest.raises(xaicore.BackendError) as caught:
        xaicore.explain(model, x)
    assert "the model raised ValueError for inputs (2, 6, 9, 3) float32" in str(caught.value)
    assert "expected axis -1 of input shape to have value 1" in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's convolutions")
@pytest.mark.parametrize(
    "message",
    [
        "The Conv2D op currently only supports the NHWC tensor format on the CPU. The op was given the format: NCHW",
        "Conv2DCustomBackpropInputOp only supports NHWC.",
    ],
)
def test_channels_first_without_onednn_names_the_remedy(message, unchanged):
    def fail(y):
        raise NotImplementedError(message)

    model = Subclassed()
    model.end = fail
    with unchanged(model), pytest.raises(xaicore.BackendError) as caught:
        xaicore.explain(model, pictures())
    assert message in str(caught.value)
    assert "set the environment variable TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow is imported" in str(caught.value)


@pytest.mark.skipif(
    BACKEND != "tensorflow" or os.environ["TF_ENABLE_ONEDNN_OPTS"] != "0", reason="TensorFlow without oneDNN"
)
@pytest.mark.parametrize("layer", [layers.Conv2D, layers.Conv2DTranspose])
def test_tensorflow_says_so_in_these_words(layer):
    convolution = layer(4, 3, data_format="channels_first", name="conv")
    model = functional(lambda i: layers.Dense(3)(layers.Flatten()(convolution(i))), (1, 6, 9))
    with pytest.raises(xaicore.BackendError, match="TF_ENABLE_ONEDNN_OPTS=1"):
        xaicore.explain(model, channels_first(pictures()), layer="conv")


def test_broken_weights_are_named(unchanged):
    model = conv_gap_dense()
    model.get_layer("dense").bias.assign([0, np.nan, 0])
    with unchanged(model), pytest.raises(xaicore.BackendError, match="the outputs have 2 NaN values of 6"):
        xaicore.explain(model, pictures())


def test_a_target_out_of_range_leaves_the_model_alone(unchanged):
    model = conv_gap_dense()
    with unchanged(model), pytest.raises(xaicore.TargetError, match=r"target 3 is out of range.*classes 0 to 2"):
        xaicore.explain(model, pictures(), 3)


@pytest.mark.parametrize("direction", [lambda o, kind: o, lambda o, kind: np.ones((2, 1, 4)), lambda o, kind: None])
def test_a_direction_of_the_wrong_shape_is_refused(direction, unchanged):
    model = conv_gap_dense()
    with unchanged(model), pytest.raises(xaicore.BackendError, match=r"direction gave .*outputs \(2, 3\)"):
        KerasBackend(model).capture(pictures(), ["relu2"], direction)


def test_a_map_without_positive_evidence_is_zeros_and_says_so():
    model = conv_gap_dense()
    dense = model.get_layer("dense")
    dense.kernel.assign(-np.abs(numpy(dense.kernel)))
    explanation = xaicore.explain(model, pictures(), 1)
    assert explanation.empty.all()
    assert not explanation.heatmaps().any()
    np.testing.assert_array_equal(explanation.overlays(), explanation.images)


def test_as_many_tokens_as_a_map_has_rows_show_where_they_come_from():
    """What is known of a map (6, 9) does not count for the tokens of patches, of which there are 2 x 3."""
    i = keras.Input((6, 9, 1))
    positive = keras.initializers.RandomUniform(0.5, 1.5, seed=0)  # where a token comes from does not depend on signs
    wide = layers.Conv2D(4, 3, padding="same", kernel_initializer=positive)(i)
    patches = layers.Conv2D(8, 3, 3, kernel_initializer=positive)(wide)
    tokens = layers.LayerNormalization(name="norm")(layers.Reshape((6, 8))(patches))
    model = keras.Model(i, layers.Dense(3)(layers.GlobalAveragePooling1D()(tokens)))
    ((axis, places),) = KerasBackend(model).observe(pictures()).named["norm"].moves[0].items()
    assert axis == 1  # of the tokens
    np.testing.assert_allclose(places[1], (0.25, 0.75))  # two tokens of a row lie half a picture apart
    assert places[2][0] == places[2][1]

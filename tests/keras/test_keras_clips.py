"""Clips: recurrent convolutions, with a map for each frame or of a last state; two clips at different rates."""

import re

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras_nets import BACKEND, CLOSE, settle, truth

import xaicore

CLIPS = np.random.default_rng(2).normal(size=(2, 4, 6, 9, 1)).astype(np.float32)


def lstm(name="lstm", **options):
    return layers.ConvLSTM2D(3, 3, name=name, **{"padding": "same", **options})


def steps(name="lstm", **options):
    return lstm(name, return_sequences=True, **options)


def frames(name="frames", **options):
    return layers.TimeDistributed(layers.Conv2D(3, 3, activation="relu", **options), name=name)


def net(*over, shape=CLIPS.shape[1:]):
    """These layers, one after the other, their mean over positions, and a dense layer."""
    t = i = keras.Input(shape)
    for layer in over:
        t = layer(t)
    mean = {4: layers.GlobalAveragePooling2D, 5: layers.GlobalAveragePooling3D}.get(len(t.shape), layers.Flatten)
    return settle(keras.Model(i, layers.Dense(3, name="dense")(mean()(t))))


def gradcam(model, layer, x=CLIPS, each_frame=False):
    """The map of class 1 by the formula, with autograd's gradient; `each_frame` weighs each frame by itself."""
    a, g = truth(model, x, layer, [[1], [1]])
    assert np.abs(g).max() > 0
    first = 2 if each_frame else 1
    weights = g[:, 0].mean(axis=tuple(range(first, a.ndim - 1)), keepdims=True)
    return np.maximum((weights * a).sum(axis=-1), 0)


def shows(explanation, frame, x=CLIPS):
    """Whether the pictures are this frame of the clips."""
    shown = explanation.images[..., 0].astype(float)
    return all(
        np.corrcoef(one.ravel(), clip.ravel())[0, 1] > 0.99 for one, clip in zip(shown, x[:, frame], strict=True)
    )


LAST_STATES = {
    "on the input": ([lstm], "lstm", 3),
    "with a stride": ([lambda: lstm(padding="valid", strides=2)], "lstm", 3),
    "backwards": ([lambda: lstm(go_backwards=True)], "lstm", 0),
    "of a class of one's own": ([lambda: Renamed(3, 3, padding="same", name="lstm")], "lstm", 3),
    "a pool and a convolution behind": (
        [lstm, lambda: layers.MaxPooling2D(), lambda: layers.Conv2D(3, 2, name="conv")],
        "conv",
        3,
    ),
}


class Renamed(layers.ConvLSTM2D):
    """A class of one's own."""


@pytest.mark.parametrize("name", LAST_STATES)
def test_a_last_state_has_a_map_of_the_whole_clip_over_the_frame_read_last(name, unchanged):
    over, layer, frame = LAST_STATES[name]
    model = net(*(make() for make in over))
    with unchanged(model):
        explanation = xaicore.explain(model, CLIPS, 1)
    assert (explanation.layer, explanation.views, explanation.frames) == (layer, 1, 1)
    np.testing.assert_allclose(explanation.maps, gradcam(model, layer), **CLOSE)
    assert explanation.input_size == (6, 9)
    assert shows(explanation, frame)
    assert not shows(explanation, 3 - frame)


class Part(keras.Model):
    """Reads what `part` takes of a clip."""

    def __init__(self, part, **options):
        super().__init__()
        self.part, self.lstm, self.dense = part, lstm(**options), layers.Dense(3, name="dense")

    def call(self, x):
        return self.dense(ops.mean(self.lstm(self.part(x)), axis=(1, 2)))


@pytest.mark.parametrize(
    ("part", "backwards", "frame"),
    [
        (lambda x: x[:, ::2], False, 2),
        (lambda x: x[:, 1:], True, 1),
        (lambda x: x / 2, False, 3),
        (lambda x: ops.flip(x, axis=1), False, 0),
    ],
)
def test_the_last_frame_that_is_read_of_a_part_of_a_clip(part, backwards, frame):
    model = Part(part, go_backwards=backwards)
    model(CLIPS)
    explanation = xaicore.explain(settle(model), CLIPS, 1, input_axes="ndhwc")
    np.testing.assert_allclose(explanation.maps, gradcam(model, "lstm"), **CLOSE)
    assert shows(explanation, frame)


SEQUENCES = {
    "on the input": ([steps], "lstm"),
    "a norm": ([steps, lambda: layers.BatchNormalization(name="norm")], "norm"),
    "a 3-D convolution": ([steps, lambda: layers.Conv3D(3, 3, name="conv", padding="same")], "conv"),
    "a second one": ([steps, lambda: layers.BatchNormalization(name="norm"), lambda: lstm("last")], "norm"),
    "both ways": ([lambda: layers.Bidirectional(steps("one"), name="both")], "both"),
    "a 3-D convolution before": ([lambda: layers.Conv3D(3, 3, name="conv", padding="same"), lstm], "conv"),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_steps_are_the_frames_of_the_clip(name, unchanged):
    over, layer = SEQUENCES[name]
    model = net(*(make() for make in over))
    with unchanged(model):
        explanation = xaicore.explain(model, CLIPS, 1)
    assert (explanation.layer, explanation.input_size) == (layer, (4, 6, 9))
    np.testing.assert_allclose(explanation.maps, gradcam(model, layer), **CLOSE)


@pytest.mark.parametrize(("over", "layer"), [([frames, steps], "lstm"), ([frames, lstm], "frames")])
def test_frames_that_are_convolved_one_by_one_have_a_map_each(over, layer):
    model = net(*(make() for make in over))
    explanation = xaicore.explain(model, CLIPS, 1)
    assert (explanation.layer, explanation.frames) == (layer, 4)
    np.testing.assert_allclose(explanation.maps, gradcam(model, layer, each_frame=True), **CLOSE)


@pytest.mark.parametrize("before", [frames, steps])
@pytest.mark.parametrize(("backwards", "frame"), [(False, 3), (True, 0)])
def test_a_last_state_by_its_name(before, backwards, frame):
    before = before() if before is not steps else steps("before")
    model = net(before, lstm(go_backwards=backwards))
    explanation = xaicore.explain(model, CLIPS, 1, layer="lstm")
    np.testing.assert_allclose(explanation.maps, gradcam(model, "lstm"), **CLOSE)
    assert shows(explanation, frame)


def test_a_clip_of_volumes():
    x = np.random.default_rng(5).normal(size=(2, 3, 4, 6, 5, 1)).astype(np.float32)
    i = keras.Input(x.shape[1:])
    volumes = layers.ConvLSTM3D(2, 3, padding="same", name="lstm")(i)
    model = settle(keras.Model(i, layers.Dense(3, name="dense")(layers.GlobalAveragePooling3D()(volumes))))
    (axes,) = re.findall(r"input_axes='(\w+)'", refusal(model, x))
    explanation = xaicore.explain(model, x, 1, input_axes=axes)
    assert explanation.input_size == (4, 6, 5)
    np.testing.assert_allclose(explanation.maps, gradcam(model, "lstm", x), **CLOSE)


def test_a_clip_with_as_many_frames_as_rows():
    """The positions of the last state (N, 4, 9, C) are no frames."""
    x = CLIPS[:, :, :4]
    model = net(frames(padding="same"), lstm(), shape=x.shape[1:])
    explanation = xaicore.explain(model, x, 1, layer="lstm")
    np.testing.assert_allclose(explanation.maps, gradcam(model, "lstm", x), **CLOSE)
    assert shows(explanation, 3, x)


@pytest.mark.skipif(BACKEND == "tensorflow", reason="its convolutions on a CPU take channels last")
@pytest.mark.parametrize(("make", "size"), [(lstm, (6, 9)), (steps, (4, 6, 9))])
def test_channels_first(make, size):
    last, first = net(make()), net(make(data_format="channels_first"), shape=(4, 1, 6, 9))
    explanation = xaicore.explain(first, np.moveaxis(CLIPS, -1, 2), 1, method="eigencam")
    assert explanation.input_size == size
    np.testing.assert_allclose(explanation.maps, xaicore.explain(last, CLIPS, 1, method="eigencam").maps, **CLOSE)


def test_cam_explains_a_last_state():
    model = net(lstm())
    explanation = xaicore.explain(model, CLIPS, 1, method="cam")
    a = ops.convert_to_numpy(model.get_layer("lstm")(CLIPS))
    rows = ops.convert_to_numpy(model.get_layer("dense").kernel)[:, 1]
    assert explanation.layer == "lstm"
    np.testing.assert_allclose(explanation.maps, np.maximum(a @ rows, 0), **CLOSE)


def refusal(model, x=CLIPS, **options):
    with pytest.raises(xaicore.LayerError) as caught:
        xaicore.explain(model, x, 1, **options)
    return str(caught.value)


def advised(message):
    return re.findall(r"layer='([^']+)'", message)


@pytest.mark.parametrize(("behind", "layer"), [([], "both"), ([lambda: layers.Conv2D(3, 3)], None)])
def test_last_states_of_both_directions_have_no_frame_in_common(behind, layer):
    model = net(layers.Bidirectional(lstm("one"), name="both"), *(make() for make in behind))
    message = refusal(model, layer=layer)
    assert "'both' joins last states that have read the clip in different directions" in message
    names = advised(message)
    assert names
    for name in names:
        explanation = xaicore.explain(model, CLIPS, 1, layer=name)
        np.testing.assert_allclose(explanation.maps, gradcam(model, name), **CLOSE)
        assert shows(explanation, 0 if "backward" in name else 3)


@pytest.mark.parametrize("behind", [[], [lambda: layers.Conv3D(3, 1)], [lambda: lstm("last")]])
def test_steps_in_reverse_order_lie_over_no_frame(behind):
    model = net(steps(go_backwards=True), *(make() for make in behind))
    for layer in (None, *(one.name for one in model.layers[1 : 2 + len(behind)])):
        message = refusal(model, layer=layer)
        assert "has its steps in reverse order" in message or layer == "last"


def test_another_layer_than_the_one_with_reversed_steps():
    model = net(frames(), steps(go_backwards=True))
    assert xaicore.explain(model, CLIPS, 1).layer == "frames"
    (name,) = advised(refusal(model, layer="lstm"))
    assert xaicore.explain(model, CLIPS, 1, layer=name).frames == 4
    both = net(layers.Bidirectional(steps("one"), name="both"))
    (name,) = advised(refusal(both, layer="both/backward_one"))
    assert xaicore.explain(both, CLIPS, 1, layer=name).layer == name


def test_pairs_of_clips_through_one_recurrent_layer():
    one, other = keras.Input(CLIPS.shape[1:]), keras.Input(CLIPS.shape[1:])
    shared = lstm()
    joined = layers.Concatenate()([layers.GlobalAveragePooling2D()(shared(i)) for i in (one, other)])
    model = settle(keras.Model([one, other], layers.Dense(3, name="dense")(joined)))
    explanation = xaicore.explain(model, [CLIPS, -CLIPS[::-1]], 1, layer="lstm#*")
    assert sorted(explanation.view_names) == ["input 0", "input 1"]
    order = [int(name[-1]) for name in explanation.view_names]  # a graph may run them in any
    a = [ops.convert_to_numpy(shared(x)) for x in (CLIPS, -CLIPS[::-1])]
    rows = ops.convert_to_numpy(model.get_layer("dense").kernel)[:, 1].reshape(2, 3)
    maps = np.stack([np.maximum(a[i] @ rows[i] / 54, 0) for i in order], axis=1)
    np.testing.assert_allclose(explanation.maps, maps, **CLOSE)


def conv(filters, kernel, strides=(1, 1, 1), **options):
    return layers.Conv3D(filters, kernel, strides, padding="same", activation="relu", **options)


class Pathways(keras.Model):
    """SlowFast: a fast pathway of four times the frames, and a lateral convolution with a stride over time."""

    def __init__(self):
        super().__init__()
        self.slow1 = conv(4, (1, 3, 3), (1, 2, 2), name="slow1")
        self.fast1 = conv(2, (5, 3, 3), (1, 2, 2), name="fast1")
        self.lateral = layers.Conv3D(4, (5, 1, 1), (4, 1, 1), padding="same", name="lateral")
        self.joined = layers.Concatenate(name="joined")
        self.slow2, self.fast2 = conv(4, (3, 3, 3), name="slow2"), conv(2, (3, 3, 3), name="fast2")
        self.dense = layers.Dense(3, name="dense")

    def call(self, clips):
        slow, fast = self.slow1(clips[0]), self.fast1(clips[1])
        slow, fast = self.slow2(self.joined([slow, self.lateral(fast)])), self.fast2(fast)
        return self.dense(ops.concatenate([ops.mean(one, axis=(1, 2, 3)) for one in (slow, fast)], axis=-1))


SLOW = np.random.default_rng(3).normal(size=(2, 2, 8, 10, 1)).astype(np.float32)
FAST = np.random.default_rng(4).normal(size=(2, 8, 8, 10, 1)).astype(np.float32)


def pathways(form):
    model = Pathways()
    if form == "subclassed":
        model([SLOW, FAST])
        return settle(model)
    slow, fast = keras.Input(SLOW.shape[1:]), keras.Input(FAST.shape[1:])
    y = model.call([slow, fast])
    return settle(keras.Model([slow, fast] if form == "functional" else [fast, slow], y))


@pytest.mark.parametrize("form", ["functional", "subclassed", "fast first"])
def test_two_clips_in_a_list(form, unchanged):
    """Each map has the size of its own clip; the slow pathway reads both, and keeps the frames of the slow one."""
    model, clips = pathways(form), [FAST, SLOW] if form == "fast first" else [SLOW, FAST]
    for layer, clip in (("slow1", SLOW), ("fast1", FAST), ("lateral", FAST), ("slow2", SLOW), ("fast2", FAST)):
        with unchanged(model):
            explanation = xaicore.explain(model, clips, 1, layer=layer)
        assert explanation.input_size == clip.shape[1:4]
        np.testing.assert_allclose(explanation.maps, gradcam(model, layer, clips), **CLOSE)
    assert xaicore.explain(model, tuple(clips), 1).layer in ("slow2", "fast2")


class Mapped(keras.Model):
    """Convolves the frames of each clip, as `over(conv, clips)` calls the convolution."""

    def __init__(self, over):
        super().__init__()
        self.over = over
        self.conv, self.dense = layers.Conv2D(3, 3, activation="relu", name="conv"), layers.Dense(3, name="dense")

    def call(self, x):
        return self.dense(ops.mean(self.over(self.conv, x), axis=(1, 2, 3)))


def as_one_batch(conv, x):
    maps = conv(ops.reshape(x, (-1, *x.shape[2:])))
    return ops.reshape(maps, (-1, x.shape[1], *maps.shape[1:]))


@pytest.mark.skipif(BACKEND == "torch", reason="the convolution of Keras on torch has no vmap")
def test_a_convolution_in_a_vectorized_map_is_refused_with_what_works():
    model = Mapped(ops.vectorized_map)
    model(CLIPS)
    message = refusal(settle(model), layer="conv")
    if BACKEND == "tensorflow":
        assert "'conv' does not reach the outputs" in message
        assert refusal(model) == message
        assert message.endswith("call it on one batch instead: x reshaped to (N * frames, ...)")
    else:
        assert "runs inside a loop or a compiled function" in message
    model = Mapped(as_one_batch)
    model(CLIPS)
    explanation = xaicore.explain(settle(model), CLIPS, 1)
    a = ops.convert_to_numpy(model.conv(CLIPS.reshape(-1, *CLIPS.shape[2:]))).reshape(2, 4, 4, 7, 3)
    rows = ops.convert_to_numpy(model.dense.kernel)[:, 1] / (4 * 4 * 7)
    np.testing.assert_allclose(explanation.maps, np.maximum(a @ rows, 0), **CLOSE)

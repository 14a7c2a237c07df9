"""All outputs of a model beside the explained one, functions of its answer, and which axis holds the classes."""

import dataclasses
import gc
import weakref

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras_nets import CLOSE, Subclassed, functional, mean, numpy, pictures, run, settle, truth

import xaicore
import xaicore_keras
from xaicore.outputs import Output
from xaicore_keras.backend import KerasBackend
from xaicore_keras.classes import find_class_axis
from xaicore_keras.graph import graph_calls
from xaicore_keras.paths import walk

QUERIES = 5


class Anchors(layers.Layer):
    """The same for any number of images."""

    def call(self, x):
        return ops.ones((7, 4))


def detector():
    """Scores of three classes and four coordinates for each of five queries, and the best class of each."""
    i = keras.Input((6, 9, 1))
    features = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(i)
    queries = layers.Reshape((QUERIES, 4))(layers.Dense(QUERIES * 4, activation="tanh")(mean(features)))
    classes = layers.Dense(3, activation="softmax", name="classes")(queries)
    boxes = layers.Dense(4, activation="sigmoid", name="boxes")(queries)
    answer = {"boxes": boxes, "classes": classes, "labels": ops.argmax(classes, axis=-1), "anchors": Anchors()(i)}
    return settle(keras.Model(i, answer))


@pytest.fixture(scope="module")
def found():
    """A model, its answer to two pictures, and what its backend captures of them with all parts."""
    model, x = detector(), pictures()
    backend, asked = KerasBackend(model, "classes"), []

    def direction(outputs, kind, parts):
        asked.append((outputs, kind, parts))
        return one_at(outputs, 1, 2)

    captured = backend.capture(x, ["conv"], direction, parts=True)
    return model, x, {name: numpy(part) for name, part in run(model, x).items()}, backend, captured, asked


def one_at(outputs, *place):
    direction = np.zeros((len(outputs), 1, *outputs.shape[1:]), np.float32)
    direction[(slice(None), 0, *place)] = 1
    return direction


def test_parts_are_the_answer_of_the_model_itself(found):
    _, _, answer, backend, captured, asked = found
    ((outputs, kind, parts),) = asked
    assert list(parts) == list(captured.parts) == list(answer)
    for name, part in captured.parts.items():
        assert len(part) == 2
        expected = [answer[name]] * 2 if name == "anchors" else answer[name]
        np.testing.assert_allclose(np.stack(part), expected, **CLOSE)
        assert all(one is other for one, other in zip(part, parts[name], strict=True))
    assert captured.parts["labels"][0].dtype.kind == "i"
    # The scores are explained by their logits, and are probabilities among the parts.
    assert kind == "logits"
    e = np.exp(outputs)
    np.testing.assert_allclose(np.moveaxis(e / e.sum(axis=1, keepdims=True), 1, 2), answer["classes"], **CLOSE)
    facts = backend.observe(pictures())
    assert (facts.output, facts.class_axis, facts.class_count) == ("classes", 2, None)


def test_parts_change_nothing_else(found):
    model, x, _, backend, captured, _ = found
    plain = backend.capture(x, ["conv"], lambda outputs, kind: one_at(outputs, 1, 2))
    assert plain.parts == {}
    np.testing.assert_allclose(captured.outputs, plain.outputs, **CLOSE)
    np.testing.assert_allclose(captured.gradients["conv"], plain.gradients["conv"], **CLOSE)

    def logits(answer):
        return ops.log(answer["classes"])[:, 2]

    _, g = truth(model, x, "conv", [[1]] * 2, logits)
    _, mean_g = truth(model, x, "conv", [[0, 1, 2]] * 2, logits)
    expected = g - mean_g.mean(axis=1, keepdims=True)  # log p is the logit up to a constant
    shifts = backend.capture(x, ["conv"], lambda outputs, kind: one_at(outputs, slice(None), 2) / 3)
    given = plain.gradients["conv"] - shifts.gradients["conv"]
    np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-6)


def test_a_last_smaller_batch_has_its_own_parts(found):
    _, x, answer, backend, _, _ = found
    captured = backend.capture(x[:1], [], lambda outputs, kind, parts: one_at(outputs, 0, 0), parts=True)
    assert {name: len(part) for name, part in captured.parts.items()} == dict.fromkeys(answer, 1)
    np.testing.assert_allclose(captured.parts["boxes"][0], answer["boxes"][0], **CLOSE)
    np.testing.assert_allclose(captured.parts["anchors"][0], answer["anchors"], **CLOSE)


class BestBox(xaicore.Target):
    """The score of the box that lies leftmost, as a target that reads the parts."""

    needs_parts = True

    def aim(self, outputs, kind, answer):
        boxes = np.stack(answer.parts["boxes"])
        assert (answer.name, answer.class_axis) == ("classes", 2)
        direction = np.zeros((len(outputs), 1, *outputs.shape[1:]), np.float32)
        first = boxes[..., 0].argmin(axis=1)
        direction[np.arange(len(outputs)), 0, 1, first] = 1
        return xaicore.targets.Aim(direction, np.full((len(outputs), 1), 1))


def test_a_target_reads_the_parts(found):
    model, x, answer, *_ = found
    explanation = xaicore.explain(model, x, BestBox(), layer="conv", method="hirescam", output="classes")
    first = answer["boxes"][..., 0].argmin(axis=1)
    plain = keras.Model(model.inputs, find_dense_logits(model))
    a, g = truth(plain, x, "conv", [[0]] * 2, lambda z: ops.stack([z[n, first[n], 1:2] for n in range(2)]))
    expected = np.maximum((a[:, None] * g).sum(axis=-1), 0)[:, 0]
    np.testing.assert_allclose(explanation.maps, expected, rtol=1e-4, atol=1e-6)


def find_dense_logits(model):
    dense = model.get_layer("classes")
    (queries,) = [layer.output for layer in model.layers if isinstance(layer, layers.Reshape)]
    return ops.matmul(queries, dense.kernel) + dense.bias


# -- functions of the answer


def test_a_function_of_the_answer(found, unchanged):
    model, x, answer, *_ = found

    def contrast(parts):
        return ops.log(parts["classes"][:, 0, :2]) - parts["boxes"][:, 1, 2:]

    with unchanged(model):
        explanation = xaicore.explain(model, x, xaicore_keras.Score(contrast), layer="conv", method="hirescam")
    expected = np.log(answer["classes"][:, 0, :2]) - answer["boxes"][:, 1, 2:]
    np.testing.assert_allclose(explanation.scores.reshape(2, 2), expected, **CLOSE)
    a, g = truth(model, x, "conv", [[0, 1]] * 2, contrast)
    maps = np.maximum((a[:, None] * g).sum(axis=-1), 0)
    np.testing.assert_allclose(explanation.maps.reshape(maps.shape), maps, rtol=1e-4, atol=1e-6)


def test_a_score_is_explained_as_it_is():
    """Also where a softmax made it, which is left out of the outputs of a classifier."""
    model, x = (
        functional(lambda i: layers.Dense(3, activation="softmax")(mean(layers.Conv2D(4, 3, name="conv")(i)))),
        pictures(),
    )
    explanation = xaicore.explain(model, x, xaicore_keras.Score(lambda p: p), layer="conv", method="hirescam")
    p = numpy(run(model, x))
    np.testing.assert_allclose(explanation.scores.reshape(2, 3), p, **CLOSE)
    a, g = truth(model, x, "conv", [[0, 1, 2]] * 2)
    maps = np.maximum((a[:, None] * g).sum(axis=-1), 0)
    np.testing.assert_allclose(explanation.maps.reshape(maps.shape), maps, rtol=1e-4, atol=1e-7)


def test_functions_that_give_no_scores(found, unchanged):
    model, x, *_ = found
    cases = {
        r"function broken of the model's answer raised KeyError: 'no'; the model returned .*'boxes' \(2, 5, 4\)": "no",
        r"returned int\d+ \(2, 5\), which has no gradient": "labels",
        r"returned a builtins.tuple: expected a tensor with a row per image": None,
    }
    for message, name in cases.items():

        def broken(answer, name=name):
            return (answer,) if name is None else answer[name]

        with unchanged(model), pytest.raises(xaicore.OutputError, match=message):
            xaicore.explain(model, x, xaicore_keras.Score(broken), layer="conv")
    with pytest.raises(xaicore.OutputError, match=r"output_axes='nc' has 2 letters, and the output is \(2, 5, 3\)"):
        xaicore.explain(model, x, 0, output="classes", output_axes="nc", layer="conv")


def test_a_function_does_not_keep_its_model_alive():
    model = functional(lambda i: mean(layers.Conv2D(4, 3, name="conv")(i)))
    weight = model.weights[0]

    def scaled(y, model=model):
        return y * ops.mean(model.weights[0])

    explainer = xaicore.Explainer(model, layer="conv", output=scaled)
    given = explainer(pictures(), 0).outputs
    np.testing.assert_allclose(given, numpy(run(model, pictures())) * numpy(weight).mean(), **CLOSE)
    gone = weakref.ref(model)
    del model, explainer, weight, scaled
    gc.collect()
    assert gone() is None


# -- the form of an answer


@dataclasses.dataclass
class Found:
    scores: object
    more: object


ANSWERS = {
    "nested": (lambda y, z: {"a": [z, {"b": y}], "c": z}, "a.1.b", ["a.0", "a.1.b", "c"]),
    "dataclass": (lambda y, z: Found(y, (z, z)), "scores", ["scores", "more.0", "more.1"]),
}


@pytest.mark.parametrize("form", ANSWERS)
def test_parts_of_nested_answers(form):
    make, output, names = ANSWERS[form]

    class Model(Subclassed):
        def call(self, x):
            z = self.features(x)
            return make(self.dense(ops.mean(z, axis=(1, 2))), z)

    model, x = settle(Model()), pictures()
    captured = KerasBackend(model, output).capture(x, [], parts=True)
    assert list(captured.parts) == names
    np.testing.assert_allclose(np.stack(captured.parts[output]), captured.outputs, **CLOSE)
    with pytest.raises(xaicore.OutputError, match=rf"output='no' is none of .*{names[0]!r}"):
        KerasBackend(model, "no").capture(x, [])


# -- the axis of the classes


def test_axes_as_the_caller_says_them():
    """A reader that gives (steps, images, letters): images are on axis 1."""

    def reader(i):
        columns = layers.Reshape((9, 24))(
            layers.Permute((2, 1, 3))(layers.Conv2D(4, 3, padding="same", name="conv")(i))
        )
        return ops.transpose(layers.Dense(3)(columns), (1, 0, 2))

    model, x = functional(reader), pictures()
    y = numpy(run(model, x))
    assert y.shape == (9, 2, 3)
    given = KerasBackend(model, Output(axes="lnc")).capture(
        x, ["conv"], lambda outputs, kind, parts: one_at(outputs, 2, 4), parts=True
    )
    np.testing.assert_allclose(given.outputs, np.transpose(y, (1, 2, 0)), **CLOSE)
    (part,) = given.parts.values()
    np.testing.assert_allclose(np.stack(part), np.swapaxes(y, 0, 1), **CLOSE)
    _, g = truth(model, x, "conv", [[2]] * 2, lambda y: y[4])
    np.testing.assert_allclose(given.gradients["conv"], g, rtol=1e-4, atol=1e-6)


def conv(x, **kwargs):
    return layers.Conv2D(3, 3, padding="same", **kwargs)(x)


AXES = {
    "dense": (lambda i: layers.Dense(3)(i), 3),
    "convolution": (lambda i: conv(i), 3),
    "channels first": (lambda i: conv(i, data_format="channels_first"), 1),
    "softmax": (lambda i: layers.Softmax()(conv(i)), 3),
    "permuted": (lambda i: layers.Permute((3, 1, 2))(conv(i)), 1),
    "transposed": (lambda i: ops.transpose(layers.ReLU()(conv(i)), (0, 3, 1, 2)), 1),
    "positions joined": (lambda i: layers.Reshape((54, 3))(conv(i)), 2),
    "classes split": (lambda i: layers.Reshape((6, 9, 3, 1))(conv(i)), 3),
    "mixed up": (lambda i: layers.Reshape((3, 54))(conv(i)), None),
    "queries": (lambda i: layers.Reshape((5, 3))(layers.Dense(15)(mean(i))), None),
    "queries, softmax": (lambda i: layers.Softmax(axis=1)(layers.Reshape((5, 3))(layers.Dense(15)(mean(i)))), 1),
    "steps": (lambda i: layers.TimeDistributed(layers.Dense(3))(layers.Reshape((6, 9))(i)), 2),
    "recurrent": (lambda i: layers.LSTM(3, return_sequences=True)(layers.Reshape((6, 9))(i)), 2),
    "both ways": (
        lambda i: layers.Bidirectional(layers.GRU(3, return_sequences=True))(layers.Reshape((6, 9))(i)),
        2,
    ),
    "sum": (lambda i: layers.UpSampling2D()(conv(i) + conv(i) * 0.5), 3),
    "joined": (lambda i: layers.Concatenate()([conv(i), layers.Dropout(0.5)(conv(i))]), 3),
    "two layouts": (lambda i: conv(i)[:, :, :3] + layers.Permute((1, 3, 2))(conv(i))[:, :, :, :3], None),
    "nested": (lambda i: keras.Sequential([keras.Input((6, 9, 1)), layers.Conv2D(3, 1), layers.ReLU()])(i), 3),
    "anything": (lambda i: ops.einsum("nhwc->nchw", conv(i)), None),
    "a mean": (lambda i: ops.mean(layers.Reshape((2, 3, 9, 3))(conv(i)), axis=1), None),
}


@pytest.mark.parametrize("form", AXES)
def test_the_axis_of_the_classes(form):
    make, axis = AXES[form]
    model = functional(make)
    calls = graph_calls(model, walk(model))
    assert find_class_axis(calls, calls[-1].output) == axis


def test_what_nothing_says_is_asked_for():
    model, x = (
        functional(lambda i: layers.Reshape((5, 3))(layers.Dense(15)(mean(layers.Conv2D(4, 3, name="conv")(i))))),
        pictures(),
    )
    with pytest.raises(xaicore.OutputError, match="which axis holds the classes: pass output_axes='nlc' or 'ncl'"):
        xaicore.explain(model, x, xaicore.targets.Word(1), layer="conv")
    explanation = xaicore.explain(model, x, xaicore.targets.Word(1, 2), layer="conv", output_axes="nlc")
    steps = keras.Model(model.inputs, layers.Dense(5)(model.outputs[0]))
    with pytest.warns(RuntimeWarning, match="axis 1 .* along axis 2: .* pass output_axes='nlc'"):
        xaicore.explain(steps, x, xaicore.targets.Word(1), layer="conv", output_axes="ncl")
    y = numpy(run(model, x))
    e = np.exp(y[:, 1])
    np.testing.assert_allclose(explanation.scores, e[:, 2] / e.sum(axis=1), **CLOSE)

"""A softmax or sigmoid whose result is permuted or reshaped: it is left out, so that maps are those of the logits."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras_nets import CLOSE, numpy, pictures, run, settle, truth

import xaicore
from xaicore.outputs import Output
from xaicore_keras.backend import KerasBackend

SCORES = (6, 9, 4)


def net(end=lambda z: z):
    """Scores (N, 6, 9, 4), and what the end makes of them."""
    i = keras.Input((6, 9, 1))
    z = layers.Conv2D(4, 1, name="scores")(layers.Conv2D(3, 3, padding="same", activation="relu", name="conv")(i))
    return settle(keras.Model(i, end(z)))


# The end, the link, the output's axes, and the order of the scores' axes in the output.
MOVED = {
    "Permute": (lambda z: layers.Permute((3, 1, 2))(layers.Softmax()(z)), "softmax", None, (0, 3, 1, 2)),
    "transpose, sigmoid": (lambda z: ops.transpose(ops.sigmoid(z), (0, 3, 2, 1)), "sigmoid", None, (0, 3, 2, 1)),
    "moveaxis, log_softmax": (lambda z: ops.moveaxis(ops.log_softmax(z), -1, 1), "softmax", None, (0, 3, 1, 2)),
    "swapaxes": (lambda z: ops.swapaxes(ops.softmax(z), 1, 2), "softmax", "nwhc", (0, 2, 1, 3)),
    "reshaped on both sides": (
        lambda z: layers.Reshape((4, 6, 9))(layers.Permute((2, 1))(layers.Reshape((54, 4))(layers.Softmax()(z)))),
        "softmax",
        "nchw",
        (0, 3, 1, 2),
    ),
    "images moved": (
        lambda z: ops.transpose(ops.softmax(z), (1, 2, 0, 3)),
        "softmax",
        "hwnc",
        (1, 2, 0, 3),
    ),
}


@pytest.mark.parametrize("parts", [False, True], ids=["alone", "with parts"])
@pytest.mark.parametrize("name", MOVED)
def test_gradients_are_those_of_the_logits(name, parts):
    end, link, axes, order = MOVED[name]
    model, x, given = net(end), pictures(), []

    def direction(outputs, kind, more=None):
        given.append(outputs)
        return np.random.default_rng(3).normal(size=(2, 2, *outputs.shape[1:])).astype(np.float32)

    capture = KerasBackend(model, Output(axes=axes)).capture(x, ["conv"], direction, parts=parts)
    assert (capture.outputs_kind, capture.link) == ("logits", link)
    to_front = order if axes is None else [order[axis] for axis in Output(axes=axes).order]  # images, classes, others
    back = np.argsort(to_front)
    plain = net()
    shift = numpy(run(plain, x)) - capture.outputs.transpose(back)
    np.testing.assert_allclose(shift, shift[..., :1].repeat(4, -1) if link == "softmax" else 0, atol=1e-5)

    weights = direction(given[0], "logits").transpose(0, 1, *(1 + back[1:]))

    def weighted(z):
        return ops.sum(ops.expand_dims(z, 1) * ops.convert_to_tensor(weights), axis=(2, 3, 4))

    _, gradients = truth(plain, x, "conv", [[0, 1]] * 2, weighted)
    np.testing.assert_allclose(capture.gradients["conv"], gradients, **CLOSE)
    if parts:  # the model's own answer
        (part,) = capture.parts.values()
        own = numpy(run(model, x))
        np.testing.assert_allclose(np.stack(part), own if axes != "hwnc" else own.transpose(2, 0, 1, 3), **CLOSE)


def test_a_softmax_over_positions_is_no_link():
    """It is over the rows of each class, which a permutation puts last."""
    model = net(lambda z: layers.Permute((2, 3, 1))(layers.Softmax(axis=1)(z)))
    facts = KerasBackend(model).observe(pictures())
    assert (facts.class_axis, facts.link) == (2, None)


def test_the_score_of_a_region_whose_classes_are_first():
    model, x = net(lambda z: layers.Permute((3, 1, 2))(layers.Softmax()(z))), pictures()
    explanation = xaicore.explain(model, x, xaicore.targets.Region(1), layer="conv", method="hirescam")
    p = numpy(run(model, x))
    masks = p.argmax(1) == 1
    np.testing.assert_allclose(explanation.scores, [p[n, 1][masks[n]].mean() for n in range(2)], **CLOSE)
    weights = masks / masks.sum((1, 2), keepdims=True)
    tensor = ops.convert_to_tensor(weights.astype(np.float32)[:, None])
    a, g = truth(net(), x, "conv", [[0]] * 2, lambda z: ops.sum(z[:, None, :, :, 1] * tensor, axis=(2, 3)))
    np.testing.assert_allclose(explanation.maps, np.maximum((a[:, None] * g).sum(-1)[:, 0], 0), rtol=1e-4, atol=1e-6)

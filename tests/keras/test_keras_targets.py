"""Words, letters, questions, regions and likeness: whole nets, against the framework's own autodiff."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras_nets import CLOSE, mean, numpy, pictures, run, settle, softmax, truth

import xaicore
from xaicore import targets

TIGHT = {"rtol": 1e-4, "atol": 1e-6}


def maps_of(model, x, weights, layer="conv", scores=None):
    """Maps (N * K, *S) of HiResCAM for K sums of outputs (N, *O), of weights (N, K, *O), or for the scores instead."""

    def weighted(y):
        return ops.sum(ops.expand_dims(y, 1) * ops.convert_to_tensor(weights), axis=tuple(range(2, weights.ndim)))

    a, g = truth(model, x, layer, [list(range(weights.shape[1]))] * 2, scores or weighted)
    maps = np.maximum((a[:, None] * g).sum(axis=-1), 0)
    return maps.reshape(-1, *maps.shape[2:])


def one_hot(classes, count):
    return np.eye(count, dtype=np.float32)[classes]


def test_the_words_of_a_captioner():
    """A picture's features start an LSTM, which is fed the words so far: (N, positions, tokens)."""
    picture, words = keras.Input((6, 9, 1)), keras.Input((4,), dtype="int32")
    features = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(picture)
    seen = mean(features)
    start = [layers.Dense(5, activation="tanh")(seen), layers.Dense(5)(seen)]
    states = layers.LSTM(5, return_sequences=True)(layers.Embedding(7, 3)(words), initial_state=start)
    model = settle(keras.Model([picture, words], layers.Dense(7)(states)))
    x = [pictures(), np.array([[1, 4, 5, 6], [1, 6, 3, 2]])]

    explanation = xaicore.explain(model, x, targets.Words(), layer="conv", method="hirescam")
    z = numpy(run(model, x))
    tokens = z.argmax(axis=-1)
    assert explanation.targets.reshape(2, 4).tolist() == tokens.tolist()
    p = np.take_along_axis(softmax(z.reshape(-1, 7)).reshape(z.shape), tokens[..., None], axis=-1)
    np.testing.assert_allclose(explanation.scores, p.reshape(-1), **CLOSE)
    weights = one_hot(np.arange(4), 4)[None, :, :, None] * one_hot(tokens, 7)[:, :, None]
    expected = maps_of(model, x, weights)
    assert expected.any(axis=(1, 2)).sum() > 4
    np.testing.assert_allclose(explanation.maps, expected, **TIGHT)

    word = xaicore.explain(model, x, targets.Word(2, 5), layer="conv", method="hirescam")
    np.testing.assert_allclose(
        word.maps, maps_of(model, x, (one_hot([[2]], 4)[..., None] * one_hot(5, 7)).repeat(2, axis=0)), **TIGHT
    )


def test_the_letters_of_a_reader():
    """Columns of a picture are steps: (N, steps, letters), with a softmax that is left out."""
    i = keras.Input((6, 9, 1))
    features = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(i)
    columns = layers.Reshape((9, 24))(layers.Permute((2, 1, 3))(features))
    steps = layers.Conv1D(4, 3, padding="same", activation="tanh")(columns)
    scores = layers.Dense(5)(steps)
    plain, model = settle(keras.Model(i, scores), seed=3), keras.Model(i, layers.Softmax()(scores))
    x = pictures()
    p = numpy(run(model, x))
    letters = p.argmax(axis=-1)
    starts = [[t for t in range(9) if row[t] and (t == 0 or row[t] != row[t - 1])] for row in letters]
    k = max(map(len, starts))
    assert k > 1

    explanation = xaicore.explain(model, x, targets.CTC(), layer="conv", method="hirescam")
    weights = np.zeros((2, k, 9, 5), np.float32)
    for n, found in enumerate(starts):
        for at, t in enumerate(found):
            end = next((u for u in range(t, 9) if letters[n, u] != letters[n, t]), 9)
            weights[n, at, t:end, letters[n, t]] = 1 / (end - t)
    np.testing.assert_allclose(explanation.scores.reshape(2, k), (weights * p[:, None]).sum(axis=(2, 3)), **CLOSE)
    np.testing.assert_allclose(explanation.maps, maps_of(plain, x, weights), **TIGHT)


def test_two_questions_on_one_picture():
    """Is there light on the left, or on the right? Trained in seconds; each question has a map of its own side."""
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    lights, asked = rng.integers(0, 2, size=(256, 2)), rng.integers(0, 2, size=256)
    x = rng.uniform(0, 0.2, size=(256, 6, 12, 1)).astype(np.float32)
    x[:, 1:5, 1:5] += lights[:, 0, None, None, None]
    x[:, 1:5, 7:11] += lights[:, 1, None, None, None]
    answers = lights[np.arange(256), asked]

    picture, question = keras.Input((6, 12, 1)), keras.Input((1,), dtype="int32")
    features = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(picture)
    where = layers.Softmax()(layers.Flatten()(layers.Embedding(2, 72)(question)))
    looked = layers.Dot((1, 1))([where, layers.Reshape((72, 4))(features)])
    model = keras.Model([picture, question], layers.Dense(2)(looked))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.05), loss, metrics=["accuracy"])
    model.fit([x, asked[:, None]], answers, batch_size=256, epochs=60, verbose=0)
    assert model.evaluate([x, asked[:, None]], answers, batch_size=256, verbose=0)[1] > 0.95

    both = x[lights.all(axis=1)][:1].repeat(2, axis=0)
    given = [both, np.array([[0], [1]])]
    explanation = xaicore.explain(model, given, 1, layer="conv", method="hirescam")
    assert explanation.predicted.tolist() == [1, 1]
    left = explanation.maps[:, :, :6].sum(axis=(1, 2)) / explanation.maps.sum(axis=(1, 2))
    assert left[0] > 0.8
    assert left[1] < 0.2
    np.testing.assert_allclose(explanation.maps, maps_of(model, given, one_hot([[1], [1]], 2)), rtol=1e-4, atol=1e-5)


def test_regions_of_a_segmenter():
    """A small U-Net, (N, H, W, K), and a mask of the picture's size."""
    i = keras.Input((8, 8, 1))
    wide = layers.Conv2D(4, 3, padding="same", activation="relu")(i)
    deep = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv")(layers.MaxPooling2D()(wide))
    joined = layers.Concatenate()([wide, layers.UpSampling2D()(deep)])
    model, x = settle(keras.Model(i, layers.Conv2D(3, 1)(joined))), pictures(h=8, w=8)
    mask = np.zeros((8, 8), bool)
    mask[2:5, 1:7] = True

    explanation = xaicore.explain(model, x, targets.Region([0, 2], where=mask), layer="conv", method="hirescam")
    z = numpy(run(model, x))
    p = softmax(z.reshape(-1, 3)).reshape(z.shape)
    np.testing.assert_allclose(explanation.scores.reshape(2, 2), p[:, mask][:, :, [0, 2]].mean(axis=1), **CLOSE)

    weights = mask[None, None, :, :, None] * one_hot([0, 2], 3)[None, :, None, None] / np.float32(mask.sum())
    np.testing.assert_allclose(explanation.maps, maps_of(model, x, weights.repeat(2, axis=0)), **TIGHT)

    predicted = xaicore.explain(model, x, 2, layer="conv", method="hirescam")
    own = (z.argmax(axis=-1) == 2).astype(np.float32)
    weights = (own / own.sum(axis=(1, 2), keepdims=True))[:, None, :, :, None] * one_hot(2, 3)
    np.testing.assert_allclose(predicted.maps, maps_of(model, x, weights), **TIGHT)


def encoder():
    i = keras.Input((6, 9, 1))
    features = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(i)
    return keras.Model(i, layers.UnitNormalization()(layers.Dense(5)(mean(features))), name="encoder")


def test_likeness_to_a_vector():
    model, x = settle(encoder()), pictures()
    vectors = np.random.default_rng(2).normal(size=(1, 2, 5)).astype(np.float32)
    explanation = xaicore.explain(model, x, targets.Similarity(vectors), layer="conv", method="hirescam")
    unit = vectors[0] / np.linalg.norm(vectors[0], axis=1, keepdims=True)
    z = numpy(run(model, x))
    np.testing.assert_allclose(explanation.scores.reshape(2, 2), z @ unit.T, **CLOSE)

    def cosines(z):
        return ops.matmul(z, ops.convert_to_tensor(unit.T)) / ops.norm(z, axis=1, keepdims=True)

    np.testing.assert_allclose(explanation.maps, maps_of(model, x, np.ones((2, 2, 5)), scores=cosines), **TIGHT)


def test_the_distance_of_two_pictures():
    """A siamese net: one encoder, two pictures, one distance; the map of each picture is that of its own run."""
    shared, left, right = encoder(), keras.Input((6, 9, 1)), keras.Input((6, 9, 1))
    distance = ops.sum(ops.square(shared(left) - shared(right)), axis=-1, keepdims=True)
    model = settle(keras.Model([left, right], distance))
    x = [pictures(), pictures()[::-1] * 0.5]
    explanation = xaicore.explain(model, x, targets.Value(0), layer="encoder/conv#2", method="hirescam")
    np.testing.assert_allclose(explanation.scores, numpy(run(model, x))[:, 0], **CLOSE)
    np.testing.assert_allclose(
        explanation.maps, maps_of(model, x, np.ones((2, 1, 1), np.float32), "encoder/conv"), **TIGHT
    )


def test_as_many_steps_as_images():
    """(T, N, C), T = N: one image shows that the first axis does not hold the images."""
    x = keras.Input((6, 9, 1))
    features = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(x)
    y = layers.Dense(7)(layers.Reshape((2, -1))(features))
    steps_first = keras.Model(x, ops.transpose(y, (1, 0, 2)))
    with pytest.raises(xaicore.BackendError, match=r"\(2, 1, 7\) for 1 image .*output_axes=, such as 'lnc'"):
        xaicore.explain(steps_first, pictures(), targets.Word(1, 2), layer="conv")
    found = xaicore.explain(steps_first, pictures(), targets.Word(1, 2), layer="conv", output_axes="lnc")
    expected = xaicore.explain(keras.Model(x, y), pictures(), targets.Word(1, 2), layer="conv")
    np.testing.assert_allclose(found.maps, expected.maps, **TIGHT)

"""Targets whose score has a closed form: directions are compared with differences of the score, taken numerically."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaicore.errors import TargetError
from xaicore.outputs import Answer
from xaicore.targets import Aim, Classes, Contrast, Probability, Score, Similarity, Target, Value, aim_at

STEP = 1e-6


def softmax(z: np.ndarray, axis: int = 1) -> np.ndarray:
    rows = np.exp(z - z.max(axis=axis, keepdims=True))
    return rows / rows.sum(axis=axis, keepdims=True)


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def slopes(score: Callable[[np.ndarray], np.ndarray], outputs: np.ndarray) -> np.ndarray:
    """d score / d outputs (N, *O) of scores (N,), by central differences."""
    found = np.zeros_like(outputs)
    for place in np.ndindex(outputs.shape[1:]):
        up, down = outputs.copy(), outputs.copy()
        up[(slice(None), *place)] += STEP
        down[(slice(None), *place)] -= STEP
        found[(slice(None), *place)] = (score(up) - score(down)) / (2 * STEP)
    return found


def outputs(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def aimed(target: Target, given: np.ndarray, kind: str = "logits", **known: object) -> Aim:
    return aim_at(target, Answer(given, kind, **known))  # type: ignore[arg-type]


@pytest.mark.parametrize("link", [None, "softmax", "sigmoid"])
def test_the_slope_of_a_probability_behind_its_link(link: str | None) -> None:
    z = outputs(3, 5)
    function = sigmoid if link == "sigmoid" else softmax
    aim = aimed(Probability(2), z, link=link)
    np.testing.assert_allclose(aim.direction[:, 0], slopes(lambda z: function(z)[:, 2], z), atol=1e-6)
    np.testing.assert_allclose(aim.scores[:, 0], function(z)[:, 2])
    assert aim.classes.tolist() == [[2]] * 3


@pytest.mark.parametrize("wanted", [0, 1])
def test_the_probability_of_either_class_of_one_output(wanted: int) -> None:
    z = outputs(4, 1)
    score = lambda z: sigmoid(z)[:, 0] if wanted else 1 - sigmoid(z)[:, 0]  # noqa: E731
    aim = aimed(Probability(wanted), z)
    np.testing.assert_allclose(aim.direction[:, 0], slopes(score, z), atol=1e-6)
    np.testing.assert_allclose(aim.scores[:, 0], score(z))
    p = sigmoid(z)
    np.testing.assert_allclose(aimed(Probability(wanted), p, "probabilities").direction, 2 * wanted - 1)


def test_a_probability_keeps_the_predicted_class_in_later_passes() -> None:
    z = np.array([[3.0, 1, 0], [0, 1, 3]])
    target = Probability()
    aim = aimed(target, z)
    assert aim.classes.tolist() == [[0], [2]]
    later = aimed(target.again(aim.take(np.array([1, 1, 0]))), np.repeat(z[:1], 3, axis=0))
    assert later.classes.tolist() == [[2], [2], [0]]


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_a_contrast_is_a_difference_of_logits(kind: str) -> None:
    z = outputs(3, 4)
    given = softmax(z) if kind == "probabilities" else z
    aim = aimed(Contrast(3, 1), given, kind, link="softmax")
    np.testing.assert_allclose(aim.scores[:, 0], z[:, 3] - z[:, 1], atol=1e-9)
    score = (lambda p: np.log(p[:, 3]) - np.log(p[:, 1])) if kind == "probabilities" else (lambda z: z[:, 3] - z[:, 1])
    np.testing.assert_allclose(aim.direction[:, 0], slopes(score, given), atol=1e-3)
    assert aim.names.tolist() == [["3 against 1"]] * 3


def test_classes_of_a_contrast_by_name() -> None:
    aim = aimed(Contrast("cat", "dog"), outputs(2, 3), class_names=("ant", "cat", "dog"))
    assert aim.direction[0, 0].tolist() == [0, 1, -1]
    assert aim.names[0, 0] == "cat against dog"


def test_a_value_is_an_output() -> None:
    y = outputs(2, 3, 4)
    aim = aimed(Value((1, 2)), y, "values")
    np.testing.assert_array_equal(aim.scores[:, 0], y[:, 1, 2])
    assert aim.direction.sum() == 2
    assert (aim.direction[:, 0, 1, 2] == 1).all()
    assert aimed(Value(1), outputs(2, 3), "values", class_names=("x", "y", "z")).names[0, 0] == "y"


@pytest.mark.parametrize("measure", ["cosine", "dot"])
@pytest.mark.parametrize("shape", [(5,), (3, 5), (1, 2, 5), (3, 2, 5)])
def test_the_slope_of_a_similarity(measure: str, shape: tuple[int, ...]) -> None:
    z, v = outputs(3, 5), outputs(*shape, seed=1)
    aim = aimed(Similarity(v, measure), z, "values")
    each = v[None, None] if v.ndim == 1 else v[:, None] if v.ndim == 2 else v
    each = np.broadcast_to(each, (3, each.shape[1], 5))
    for k in range(each.shape[1]):

        def score(z: np.ndarray, v: np.ndarray = each[:, k]) -> np.ndarray:
            dot = (z * v).sum(axis=1)
            return dot if measure == "dot" else dot / np.linalg.norm(z, axis=1) / np.linalg.norm(v, axis=1)

        np.testing.assert_allclose(aim.direction[:, k], slopes(score, z), atol=1e-6)
        np.testing.assert_allclose(aim.scores[:, k], score(z))


def test_a_similarity_at_one_position_of_a_map() -> None:
    z, v = outputs(2, 5, 3, 4), outputs(5, seed=1)
    aim = aimed(Similarity(v, position=(-1, 1)), z, "values")
    flat = aimed(Similarity(v), z[:, :, -1, 1], "values")
    np.testing.assert_array_equal(aim.direction[:, 0, :, -1, 1], flat.direction[:, 0])
    assert np.count_nonzero(aim.direction) == np.count_nonzero(flat.direction)


def test_later_passes_compare_each_image_with_its_own_vector() -> None:
    z, v = outputs(3, 5), outputs(3, 5, seed=1)
    target = Similarity(v, "dot")
    aim = aimed(target, z).take(np.array([2, 2, 0]))
    np.testing.assert_array_equal(aimed(target.again(aim), z).direction[:, 0], v[[2, 2, 0]].astype(np.float32))
    twice = aim.take(np.array([1, 2]))
    assert twice.rows.tolist() == [2, 0]


@given(st.floats(0.01, 100), st.integers(0, 2**16))
def test_a_cosine_does_not_depend_on_lengths(scale: float, seed: int) -> None:
    z, v = outputs(2, 4, seed=seed), outputs(4, seed=seed + 1)
    one, other = aimed(Similarity(v), z), aimed(Similarity(v * scale), z * scale)
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(one.direction, other.direction * scale, rtol=1e-4, atol=1e-6)
    assert (np.abs(one.scores) <= 1 + 1e-9).all()


def test_scores_of_a_function_are_their_own_directions() -> None:
    target = Score(lambda answer: answer, names=["near", "far"])
    aim = aimed(target, np.array([[1.0, 2], [3, 4]]), "values")
    assert aim.direction.tolist() == [[[1, 0], [0, 1]]] * 2
    assert aim.scores.tolist() == [[1, 2], [3, 4]]
    assert aim.names.tolist() == [["near", "far"]] * 2
    assert aimed(Score(abs), np.ones(3), "values").direction.shape == (3, 1)


@pytest.mark.parametrize(
    ("target", "shape", "kind", "message"),
    [
        (lambda: Value(3), (2, 3), "values", r"Value\(3\): the outputs \(2, 3\) have no such index"),
        (lambda: Value((1, 4)), (2, 3, 4), "values", r"of each image they are \(3, 4\)"),
        (lambda: Contrast(0, 1), (2, 1), "logits", "contrasts its two classes by targets=1"),
        (lambda: Contrast(1, 1), (2, 3), "logits", "expected two classes"),
        (lambda: Contrast(0, 3), (2, 3), "logits", r"3 is no class of outputs \(2, 3\), which has classes 0 to 2"),
        (lambda: Contrast("cat", 1), (2, 3), "logits", "'cat' is a name: pass class_names="),
        (lambda: Probability(1), (2, 3), "values", r"use Value\(index\)"),
        (lambda: Similarity([1, 2]), (2, 3), "values", "expected D = 3, for all images or for each of 2"),
        (lambda: Similarity([0, 0]), (2, 2), "values", "zeros, which has no direction"),
        (lambda: Similarity([1, np.nan]), (2, 2), "values", "expected finite numbers"),
        (lambda: Similarity([1, 2], "euclid"), (2, 2), "values", "expected 'cosine' or 'dot'"),
        (lambda: Similarity([1, 2], names=["a", "b"]), (2, 2), "values", "1 vectors with 2 names"),
        (lambda: Similarity([1, 2, 3]), (2, 3, 4), "values", "pass position=, an index along each"),
        (lambda: Similarity([1, 2, 3], position=4), (2, 3, 4), "values", r"each of the positions \(4,\)"),
        (lambda: Score("f"), (2, 2), "values", r"Score\(builtins.str\): expected a function"),
        (lambda: Score(abs), (2, 2, 3), "values", r"Score\(abs\) gave \(2, 2, 3\): expected scores \(N,\) or \(N, K\)"),
        (lambda: Score(abs, names=["a"]), (2, 2), "values", r"and names \('a',\)"),
    ],
)
def test_what_does_not_fit_is_named(
    target: Callable[[], Target], shape: tuple[int, ...], kind: str, message: str
) -> None:
    with pytest.raises(TargetError, match=message):
        aimed(target(), outputs(*shape), kind)


def test_an_output_of_zeros_has_no_cosine() -> None:
    with pytest.raises(TargetError, match="output of image 1 is zero"):
        aimed(Similarity([1.0, 2]), np.array([[1.0, 1], [0, 0]]))


def test_names_of_classes_that_nearly_fit() -> None:
    with pytest.raises(TargetError, match="no class called 'cta'; did you mean 'cat'"):
        aimed(Contrast("cta", "dog"), outputs(2, 3), class_names=("ant", "cat", "dog"))


def test_a_contrast_is_what_its_classes_are() -> None:
    z = outputs(2, 4)
    one, other = (Classes(c).aim(z, "logits").direction for c in (2, 0))
    np.testing.assert_array_equal(aimed(Contrast(2, 0), z).direction, one - other)


def test_value_is_indexed_in_the_axes_of_the_model():
    """(N, T, C) reaches targets as (N, C, T)."""
    y = outputs(2, 4, 4)
    target = Value((np.int64(3), 1))  # type: ignore[arg-type]  # step 3, class 1
    aim = aim_at(target, Answer(y.transpose(0, 2, 1), "values", class_axis=2))
    assert aim.scores is not None
    assert aim.names is not None
    np.testing.assert_array_equal(aim.scores[:, 0], y[:, 3, 1])
    expected = np.zeros((2, 1, 4, 4))
    expected[:, 0, 1, 3] = 1
    np.testing.assert_array_equal(aim.direction, expected)
    assert aim.names[0, 0] == "output (3, 1)"
    assert Value(np.int64(2)) == Value(2)  # type: ignore[arg-type]


def test_the_only_value_needs_no_index() -> None:
    outputs = np.array([[-30.5], [2.0]], np.float32)
    aim = Value().aim(outputs, "values")
    np.testing.assert_array_equal(aim.direction, np.ones((2, 1, 1)))
    np.testing.assert_array_equal(aim.scores, outputs)
    with pytest.raises(
        TargetError, match=r"^Value\(\): the outputs \(2, 3\) have no such index; of each image they are"
    ):
        Value().aim(np.zeros((2, 3), np.float32), "values")

"""What is explained: directions, classes, probabilities."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from toynet import head_backward, head_forward

import xaicore
from xaicore import targets
from xaicore.targets import Aim, Classes, Predicted, TopK, as_target

LOGITS = np.array([[1.0, 5.0, -2.0], [0.5, 0.25, 0.0]], np.float32)


def aimed(wanted: object, outputs: np.ndarray, kind: str = "logits") -> Aim:
    aim = as_target(wanted).aim(outputs, kind)
    assert aim.direction.dtype == np.float32
    assert aim.classes.dtype == np.int64
    assert aim.direction.shape == (*aim.classes.shape, *outputs.shape[1:])
    return aim


# Which class.


def test_predicted() -> None:
    aim = aimed(None, LOGITS)
    assert aim.classes.tolist() == [[1], [0]]
    assert aim.direction.tolist() == [[[0, 1, 0]], [[1, 0, 0]]]
    assert str(Predicted()) == "predicted"


def test_one_class_for_all() -> None:
    for wanted in (2, np.int64(2), np.array(2)):
        assert aimed(wanted, LOGITS).classes.tolist() == [[2], [2]]
    assert aimed(2, LOGITS).direction.tolist() == [[[0, 0, 1]], [[0, 0, 1]]]
    assert str(Classes(2)) == "class 2"


def test_one_class_an_image() -> None:
    for wanted in ([2, 0], (2, 0), np.array([2, 0], np.uint8)):
        assert aimed(wanted, LOGITS).classes.tolist() == [[2], [0]]
    assert aimed([2, 0], LOGITS).direction.tolist() == [[[0, 0, 1]], [[1, 0, 0]]]
    assert str(Classes([2, 0])) == "given classes"


def test_several_classes_an_image() -> None:
    aim = aimed([[2, 0], [1, 1]], LOGITS)
    assert aim.classes.tolist() == [[2, 0], [1, 1]]
    assert aim.direction.tolist() == [[[0, 0, 1], [1, 0, 0]], [[0, 1, 0], [0, 1, 0]]]


def test_the_same_classes_of_every_image() -> None:
    outputs = np.zeros((3, 4), np.float32)
    aim = aimed([[2, 0]], outputs)
    assert aim.classes.tolist() == [[2, 0]] * 3
    assert np.array_equal(aim.direction, aimed([[2, 0]] * 3, outputs).direction)


def test_many_classes() -> None:
    outputs = np.random.default_rng(0).normal(size=(2, 1000)).astype(np.float32)
    direction = aimed([[999, 0], [3, 999]], outputs).direction
    assert direction.sum() == 4
    assert direction[0, 0, 999] == direction[0, 1, 0] == direction[1, 0, 3] == direction[1, 1, 999] == 1


def test_top_k() -> None:
    assert aimed(TopK(2), LOGITS).classes.tolist() == [[1, 0], [0, 1]]
    assert aimed(TopK(1), LOGITS).classes.tolist() == aimed(None, LOGITS).classes.tolist()
    assert aimed(TopK(5), LOGITS).classes.tolist() == [[1, 0, 2], [0, 1, 2]]  # clipped to three
    assert aimed(TopK(2), np.ones((1, 4), np.float32)).classes.tolist() == [[0, 1]]  # of equals, the first
    assert str(TopK(5)) == "top 5"
    for k in (0, -1, 2.0, "3", None):
        with pytest.raises(xaicore.TargetError, match=r"TopK\(.*\): expected a number of classes, 1 or more"):
            TopK(k)


# One output, two classes.


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_a_one_output_classifier_has_two_classes(shape: tuple[int, ...]) -> None:
    logits = np.array([2.0, -1.0, 0.0], np.float32).reshape(shape)
    aim = aimed(None, logits)
    assert aim.classes.tolist() == [[1], [0], [0]]
    assert aim.direction.reshape(-1).tolist() == [1, -1, -1]
    assert aimed(0, logits).direction.reshape(-1).tolist() == [-1, -1, -1]
    assert aimed([1, 0, 1], logits).direction.reshape(-1).tolist() == [1, -1, 1]
    both = aimed(TopK(5), logits)
    assert both.classes.tolist() == [[1, 0], [0, 1], [0, 1]]
    assert both.direction.reshape(3, 2).tolist() == [[1, -1], [-1, 1], [-1, 1]]
    assert aimed(TopK(1), logits).classes.tolist() == [[1], [0], [0]]


def test_a_one_output_classifier_of_probabilities_splits_at_a_half() -> None:
    p = np.array([[0.75], [0.25], [0.5]], np.float32)
    assert aimed(None, p, "probabilities").classes.tolist() == [[1], [0], [0]]
    # d logit / d p = 1 / (p (1 - p)).
    assert aimed(None, p, "probabilities").direction.reshape(-1).tolist() == pytest.approx([16 / 3, -16 / 3, -4])


def test_a_regression_has_no_classes() -> None:
    values = np.array([[2.0], [-1.0]], np.float32)
    for wanted in (None, TopK(3)):
        aim = aimed(wanted, values, "values")
        assert aim.classes.tolist() == [[-1], [-1]]
        assert aim.direction.tolist() == [[[1]], [[1]]]
    aim = aimed(0, values, "values")  # the first output, upwards
    assert aim.direction.tolist() == [[[1]], [[1]]]
    assert aim.classes.tolist() == [[0], [0]]
    with pytest.raises(xaicore.TargetError, match=r"target 1 is out of range: outputs \(2, 1\) have classes 0 to 0"):
        aimed(1, values, "values")


def test_several_values_have_no_prediction() -> None:
    expected = r"outputs \(2, 3\) are values, so no class is predicted: choose an output, such as targets=0"
    with pytest.raises(xaicore.TargetError, match=expected):
        aimed(None, LOGITS, "values")
    assert aimed(1, LOGITS, "values").direction.tolist() == [[[0, 1, 0]], [[0, 1, 0]]]


# Probabilities behind an activation that the backend cannot look through.

SAFE_LOGITS = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 3), st.integers(2, 6)), elements=st.floats(-4, 4, width=32)
)


@given(SAFE_LOGITS, st.data())
def test_softmax_direction_is_the_gradient_of_the_centred_logit(z: np.ndarray, data: st.DataObject) -> None:
    count = z.shape[1]
    wanted = np.array(data.draw(st.lists(st.integers(0, count - 1), min_size=len(z), max_size=len(z))))
    aim = targets.Classes(wanted).aim(head_forward(z, "softmax").astype(np.float32), "probabilities")
    pulled_back = head_backward(z, aim.direction.astype(np.float64), "softmax")[:, 0]

    def centred(z: np.ndarray) -> np.ndarray:
        return z[np.arange(len(z)), wanted] - z.mean(axis=1)

    for j in range(count):
        step = np.zeros(count)
        step[j] = 1e-4
        slope = (centred(z + step) - centred(z - step)) / 2e-4
        np.testing.assert_allclose(pulled_back[:, j], slope, rtol=0, atol=1e-3)


def test_softmax_direction_by_hand() -> None:
    p = np.array([[0.5, 0.25, 0.25]], np.float32)
    # e_c / p_c - 1 / (C p)
    expected = [[[2 - 2 / 3, -4 / 3, -4 / 3]], [[-2 / 3, -4 / 3, 4 - 4 / 3]]]
    for c, direction in zip((0, 2), expected, strict=True):
        assert aimed(c, p, "probabilities").direction[0].tolist() == [pytest.approx(direction[0])]
    both = aimed([[0, 2]], p, "probabilities").direction[0]
    assert both.tolist() == [pytest.approx(expected[0][0]), pytest.approx(expected[1][0])]


@given(SAFE_LOGITS, st.data())
def test_sigmoid_direction_is_the_gradient_of_the_logit(z: np.ndarray, data: st.DataObject) -> None:
    p = head_forward(z, "sigmoid").astype(np.float32)
    p[:, 0] = 0.875  # never a softmax by chance: with another 0.875 the sum is not 1
    p[:, 1] = 0.875
    z = np.log(p / (1 - p.astype(np.float64)))
    c = data.draw(st.integers(0, z.shape[1] - 1))
    pulled_back = head_backward(z, aimed(c, p, "probabilities").direction.astype(np.float64), "sigmoid")
    np.testing.assert_allclose(pulled_back[:, 0], np.eye(z.shape[1])[c] * np.ones_like(z), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("p", "wanted", "lost"),
    [
        ([[1.0, 0.0], [0.5, 0.5]], [1, 0], 1),  # softmax, underflowed
        ([[1.0, 0.9], [0.0, 0.9]], 0, 2),  # multi-label
        ([[1.0], [0.5]], None, 1),
        ([[0.0], [0.0]], None, 2),
    ],
)
def test_saturated_probabilities(p: list[list[float]], wanted: object, lost: int) -> None:
    expected = f"{lost} target probabilities are exactly 0 or 1, .*explain a model that returns logits"
    with pytest.raises(xaicore.TargetError, match=expected):
        aimed(wanted, np.array(p, np.float32), "probabilities")


def test_logits_that_are_called_probabilities() -> None:
    with pytest.raises(
        xaicore.TargetError, match=r"outputs from -2 to 3.5 are no probabilities: pass kind='logits', or"
    ):
        aimed(0, np.array([[3.5, -2.0]], np.float32), "probabilities")
    rounded = np.array([[1.001, -0.001]], np.float32)
    assert aimed(0, rounded, "probabilities").direction.shape == (1, 1, 2)


def test_a_certain_softmax_is_still_explained() -> None:
    direction = aimed(0, np.array([[1.0, 0.0]], np.float32), "probabilities").direction
    assert direction[0, 0, 0] == 0.5
    assert np.isfinite(direction).all()


# What does not fit.


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (3, r"target 3 is out of range: outputs \(2, 3\) have classes 0 to 2"),
        (-1, r"target -1 is out of range: outputs \(2, 3\) have classes 0 to 2"),
        ([0, 7], r"target 7 is out of range"),
        ([[0, 7], [9, 1]], r"target 7, 9 is out of range"),
        ([0, 1, 2], r"3 targets for 2 images: give one per image, a single number for all, or \[\[a, b\]\], the same"),
        ([0], r"1 targets for 2 images"),
        ([[0, 1]] * 3, r"3 targets for 2 images"),
        ([], r"targets=\[\]: expected None, a class index"),
        (
            1.5,
            r"targets=1.5: expected None, a class index or name, one per image, an \(N, K\) array of them, 'predicted'",
        ),
        ([0.0, 1.5], r"expected None, a class index"),
        (True, r"targets=True: expected None, a class index"),
        ("cat", r"targets='cat': expected None, a class index"),
        (np.zeros((2, 2, 2), int), r"expected None, a class index"),
        (np.zeros((2, 0), int), r"expected None, a class index"),
        ([[0, 1], [2]], "targets: rows differ in length; expected one array"),
    ],
)
def test_targets_that_do_not_fit(wanted: object, message: str) -> None:
    with pytest.raises(xaicore.TargetError, match=message):
        aimed(wanted, LOGITS)


def test_out_of_range_for_one_output() -> None:
    with pytest.raises(xaicore.TargetError, match=r"target 2 is out of range: outputs \(2,\) have classes 0 to 1"):
        aimed(2, np.zeros(2, np.float32))


@pytest.mark.parametrize("kind", ["logits", "probabilities", "values"])
@pytest.mark.parametrize("wanted", [None, TopK(2)])
def test_a_score_a_position_needs_a_target_of_its_own(wanted: object, kind: str) -> None:
    name = "predicted" if wanted is None else "top 2"
    for shape, advice in (((2, 3, 4, 4), r"Region\(class\)"), ((2, 3, 4), r"Words\(\)")):
        expected = rf"target '{name}' needs one score per class, \(N, classes\), and these outputs .*{advice}"
        with pytest.raises(xaicore.TargetError, match=expected):
            aimed(wanted, np.zeros(shape, np.float32), kind)


# Predictions and probabilities.


def test_predicted_classes() -> None:
    assert targets.predicted_classes(LOGITS, "logits").tolist() == [1, 0]
    assert targets.predicted_classes(LOGITS, "values") is None
    assert targets.predicted_classes(np.zeros((2, 3, 4, 4)), "logits") is None
    for one in (np.array([0.3, -0.3, 0.7]), np.array([[0.3], [-0.3], [0.7]])):
        assert targets.predicted_classes(one, "logits").tolist() == [1, 0, 1]
        assert targets.predicted_classes(one, "probabilities").tolist() == [0, 0, 1]


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def test_probabilities() -> None:
    e = np.exp(LOGITS.astype(np.float64))
    softmax = e / e.sum(axis=1, keepdims=True)
    multilabel = np.vectorize(sigmoid)(LOGITS.astype(np.float64))
    of = targets.probabilities
    np.testing.assert_allclose(of(LOGITS, "logits"), softmax)
    np.testing.assert_allclose(of(LOGITS, "logits", "softmax"), softmax)
    np.testing.assert_allclose(of(LOGITS, "logits", "sigmoid"), multilabel)
    np.testing.assert_allclose(of(LOGITS, "logits", None, "sigmoid"), multilabel)
    # The caller's word counts more than the model's.
    np.testing.assert_allclose(of(LOGITS, "logits", "sigmoid", "softmax"), softmax)
    np.testing.assert_allclose(of(LOGITS, "logits", "softmax", "sigmoid"), multilabel)
    # What is a probability stays one, values stay values.
    np.testing.assert_array_equal(of(softmax, "probabilities", None, "sigmoid"), softmax)
    np.testing.assert_array_equal(of(LOGITS, "values"), LOGITS)


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_probabilities_of_one_output(shape: tuple[int, ...]) -> None:
    outputs = np.array([2.0, -800.0]).reshape(shape)
    np.testing.assert_allclose(targets.probabilities(outputs, "logits"), [[1 - sigmoid(2), sigmoid(2)], [1, 0]])
    np.testing.assert_allclose(
        targets.probabilities(outputs, "logits", "softmax"), [[1 - sigmoid(2), sigmoid(2)], [1, 0]]
    )
    p = np.array([0.25, 1.0]).reshape(shape)
    np.testing.assert_allclose(targets.probabilities(p, "probabilities"), [[0.75, 0.25], [0, 1]])
    with pytest.raises(xaicore.InputError, match="activation='softmax' makes a single output 1 for every image"):
        targets.probabilities(outputs, "logits", None, "softmax")
    with pytest.raises(
        xaicore.InputError, match="activation='tanh' is not known; expected 'softmax', 'sigmoid' or None"
    ):
        targets.probabilities(outputs, "logits", None, "tanh")


@given(hnp.arrays(np.float32, (2, 4), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_probabilities_never_overflow(outputs: np.ndarray) -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        p = targets.probabilities(outputs, "logits")
        q = targets.probabilities(outputs, "logits", "sigmoid")
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert ((q >= 0) & (q <= 1)).all()
    assert (np.take_along_axis(p, outputs.argmax(axis=1)[:, None], 1) == p.max(axis=1, keepdims=True)).all()

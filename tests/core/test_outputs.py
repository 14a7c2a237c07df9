"""Outputs are read by one rule for all backends."""

from __future__ import annotations

import re
from contextlib import nullcontext

import numpy as np
import pytest

from xaicore import BackendError, Facts, InputError, OutputError, outputs
from xaicore.evidence import check_not_boxes

HEADS = {"age": np.zeros((2, 1)), "sex": np.zeros((2, 2))}


@pytest.mark.parametrize(("output", "name"), [("age", "age"), ("sex", "sex"), (0, "age"), (1, "sex"), (-1, "sex")])
def test_an_output_is_chosen_by_name_or_position(output: int | str, name: str) -> None:
    assert outputs.choose_output(HEADS, output, HEADS) is HEADS[name]


def test_the_only_output_needs_no_choice() -> None:
    only = {0: HEADS["age"]}
    assert outputs.choose_output(only, None, None) is only[0]


def test_a_preferred_output_wins_where_nothing_is_chosen() -> None:
    heads = {"hidden": np.zeros((2, 5)), "logits": np.zeros((2, 3))}
    assert outputs.choose_output(heads, None, heads, "logits") is heads["logits"]
    assert outputs.choose_output(heads, "hidden", heads, "logits") is heads["hidden"]
    with pytest.raises(BackendError, match="has 2 outputs"):
        outputs.choose_output(heads, None, heads)


@pytest.mark.parametrize(
    ("heads", "output", "message"),
    [
        (HEADS, "name", "output='name' is none of the model's outputs: 'age' (2, 1), 'sex' (2, 2)"),
        (HEADS, 2, "output=2 is none of the model's outputs"),
        (HEADS, None, "the model has 2 outputs, 'age' (2, 1), 'sex' (2, 2): say which one, output='age'"),
        ({}, None, "the model returned no tensor but a str; expected outputs (N, classes)"),
    ],
)
def test_an_output_that_is_not_there(heads: dict, output: int | str | None, message: str) -> None:
    with pytest.raises(BackendError, match=re.escape(message)):
        outputs.choose_output(heads, output, "an answer")


@pytest.mark.parametrize(
    ("shapes", "boxes", "scores"),
    [
        ({"boxes": (1, 4)}, ["boxes"], []),
        ({"pred_boxes": (2, 9, 4), "logits": (2, 9, 5)}, ["pred_boxes"], ["logits"]),
        ({"bbox": (2, 6), "scores": (2, 3)}, ["bbox"], []),
        ({"box_scores": (2, 3), "inbox": (2, 4)}, [], []),
        ({0: (2, 4), 1: (2,)}, [0], []),
        ({0: (2, 9, 4), 1: (2, 9)}, [0], [1]),
        ({0: (2, 9, 5), 1: (2, 9, 4)}, [1], [0]),
        ({0: (2, 4)}, [], []),
        ({0: (2, 4), 1: (2, 1)}, [], []),  # four actions and a value
        ({0: (2, 4), 1: (2, 7)}, [], []),  # two heads
        ({0: (4,), 1: ()}, [], []),
    ],
    ids=str,
)
def test_boxes_and_the_scores_of_each(
    shapes: dict[int | str, tuple[int, ...]], boxes: list[int | str], scores: list[int | str]
) -> None:
    assert outputs.boxes_among(shapes) == boxes
    assert [name for name in shapes if outputs.scores_of_boxes(shapes, name) is not None] == scores
    for name in shapes:
        facts = Facts((), (), output=name, outputs=shapes)
        check_not_boxes(facts, "values")
        with pytest.raises(OutputError, match="boxes") if name in (*boxes, *scores) else nullcontext():
            check_not_boxes(facts, "logits")


def test_advice_names_no_boxes() -> None:
    heads = {"boxes": np.zeros((2, 4)), "logits": np.zeros((2, 5))}
    with pytest.raises(OutputError, match="say which one, output='logits'"):
        outputs.choose_output(heads, None, None)
    detections = {"boxes": np.zeros((2, 9, 4)), "masks": np.zeros((2, 9, 5, 5))}
    which = "say which part holds the scores of the boxes, {}, and name boxes, targets=xaicore"
    with pytest.raises(OutputError, match=which.format("output='masks'")):
        outputs.choose_output(detections, None, None)
    layers = {"pred_logits": np.zeros((2, 9, 5)), "pred_boxes": np.zeros((2, 9, 4))}
    layers |= {f"aux.0.{name}": array for name, array in layers.items()}
    with pytest.raises(OutputError, match=which.format("output='pred_logits' or output='aux.0.pred_logits'")):
        outputs.choose_output(layers, None, None)
    four = {0: np.zeros((2, 9, 4)), 1: np.zeros((2, 9, 4))}
    with pytest.raises(OutputError, match=which.format("output=0 or output=1")):
        outputs.choose_output(four, None, None)


@pytest.mark.parametrize(
    ("shapes", "chosen"),
    [
        ({"pred_boxes": (2, 9, 4), "pred_logits": (2, 9, 5)}, "pred_logits"),
        ({"pred_boxes": (2, 9, 4), "pred_logits": (2, 9, 5), "hidden": (2, 9, 8)}, "pred_logits"),
        ({"boxes": (2, 9, 4), "labels": (2, 9), "scores": (2, 9), "masks": (2, 9, 1, 6, 6)}, "scores"),
        ({"boxes": (2, 9, 4), "scores": (2, 9), "keypoints_scores": (2, 9, 17)}, "scores"),
        ({0: (2, 9, 4), 1: (2, 9)}, 1),
        ({"boxes": (2, 9, 4), "labels": (2, 9), "class_ids": (2, 9)}, None),
        ({0: (2, 9, 4), 1: (2, 9), 2: (2, 9, 7)}, None),
        ({"boxes": (2, 4), "classes": (2, 5)}, None),
    ],
    ids=str,
)
def test_of_boxes_the_scores_are_explained(shapes: dict[int | str, tuple[int, ...]], chosen: int | str | None) -> None:
    parts = {name: np.zeros(shape) for name, shape in shapes.items()}
    if chosen is not None:
        assert outputs.choose_name(parts, None, None) == chosen
        return
    with pytest.raises(OutputError):
        outputs.choose_name(parts, None, None)


@pytest.mark.parametrize("output", ["name", 2, None])
def test_an_output_that_is_not_there_is_a_wrong_argument(output: int | str | None) -> None:
    """It is the same for every picture, and no failure of the model."""
    with pytest.raises(InputError):
        outputs.choose_output(HEADS, output, HEADS)
    with pytest.raises(BackendError) as failure:
        outputs.choose_output({}, None, "an answer")
    assert not isinstance(failure.value, InputError)


def softmax(logits: np.ndarray) -> np.ndarray:
    rows = np.exp(logits)
    return rows / rows.sum(axis=1, keepdims=True)


LOGITS = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])


@pytest.mark.parametrize(
    "linked", [LOGITS, softmax(LOGITS), np.log(softmax(LOGITS)), 1 / (1 + np.exp(-LOGITS)), softmax(LOGITS)[..., None]]
)
def test_outputs_that_a_link_made_of_logits(linked: np.ndarray) -> None:
    assert outputs.matches_link(linked, LOGITS)
    assert not outputs.matches_link(linked + 0.1 * np.array([1, -1, 1]).reshape(1, 3, *[1] * (linked.ndim - 2)), LOGITS)
    assert not outputs.matches_link(linked[:, ::-1], LOGITS)
    assert not outputs.matches_link(linked[:, :2], LOGITS)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (softmax(LOGITS), True),
        (LOGITS, False),
        (np.array([[0.5, 0.6]]), False),
        (np.array([[1.2, -0.2]]), False),
        (np.array([[1.0]]), False),
        (np.array([1.0, 0.0]), False),
        (np.empty((0, 2)), False),
    ],
)
def test_rows_of_probabilities(rows: np.ndarray, expected: bool) -> None:
    assert outputs.are_probabilities(rows) is expected


def test_half_precision_rounds_probabilities() -> None:
    rows = np.array([[0.5, 0.49]])
    assert not outputs.are_probabilities(rows)
    assert outputs.are_probabilities(rows, outputs.tolerance(True))


def test_tolerances() -> None:
    assert (outputs.tolerance(True), outputs.tolerance(True, outputs.SUM)) == (2e-2, 2e-2)
    assert (outputs.tolerance(False), outputs.tolerance(False, outputs.SUM)) == (1e-3, 1e-5)


ONE, FLAT, MANY, MAP = np.zeros((2, 1)), np.zeros(2), np.zeros((2, 3)), np.zeros((2, 1, 4, 4))


@pytest.mark.parametrize(
    ("array", "kind", "link", "said", "expected"),
    [
        (ONE, "logits", None, {}, ("values", None)),
        (FLAT, "logits", None, {}, ("values", None)),
        (ONE, "logits", None, {"is_binary": True}, ("logits", None)),
        (ONE, "logits", None, {"activation": "sigmoid"}, ("logits", None)),
        (ONE, "logits", None, {"trained_for": "sigmoid"}, ("logits", "sigmoid")),
        (ONE, "logits", None, {"trained_for": "values", "is_binary": True}, ("values", None)),
        (ONE, "logits", "sigmoid", {}, ("logits", "sigmoid")),
        (ONE, "logits", "sigmoid", {"trained_for": "values"}, ("logits", "sigmoid")),
        (ONE, "probabilities", "sigmoid", {}, ("probabilities", "sigmoid")),
        (ONE, "logits", None, {"chosen": "logits"}, ("logits", None)),
        (ONE, "logits", "sigmoid", {"chosen": "values"}, ("values", "sigmoid")),
        (MANY, "logits", None, {}, ("logits", None)),
        (MANY, "logits", None, {"trained_for": "sigmoid"}, ("logits", "sigmoid")),
        (MANY, "logits", "softmax", {"trained_for": "sigmoid"}, ("logits", "softmax")),
        (MANY, "logits", None, {"trained_for": "values"}, ("values", None)),
        (MANY, "logits", None, {"chosen": "values"}, ("values", None)),
        (MANY, "values", None, {}, ("values", None)),
        (MAP, "logits", None, {}, ("logits", None)),
    ],
)
def test_what_outputs_mean(
    array: np.ndarray, kind: str, link: str | None, said: dict, expected: tuple[str, str | None]
) -> None:
    assert outputs.settle_kind(array, kind, link, **said) == expected


def test_true_classes_of_an_image() -> None:
    indices, several = np.array([2, -1]), np.array([[True, False, True], [False, False, False]])
    assert [outputs.true_classes(indices, n) for n in range(2)] == [(2,), None]
    assert [outputs.true_classes(several, n) for n in range(2)] == [(0, 2), ()]
    assert outputs.true_classes(None, 0) is None


def test_logits_of_outputs() -> None:
    z = np.array([[1.5, -2.0, 0.25], [0.0, 3.0, -1.0]])
    softmax, sigmoid = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), 1 / (1 + np.exp(-z))
    np.testing.assert_array_equal(outputs.logits(z, "logits"), z)
    for link in ("softmax", None):
        found = outputs.logits(softmax, "probabilities", link)
        np.testing.assert_allclose(found - found[:, :1], z - z[:, :1], rtol=1e-12, atol=1e-12)
    for link in ("sigmoid", None):
        np.testing.assert_allclose(outputs.logits(sigmoid, "probabilities", link), z, rtol=1e-12, atol=1e-12)
    assert outputs.logits(np.array([[1.0, 0.0]]), "probabilities", "softmax").tolist() == [[0.0, -np.inf]]

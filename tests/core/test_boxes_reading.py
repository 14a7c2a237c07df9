"""What is refused of detectors, and what the arithmetic on boxes keeps."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from detector import DetectorBackend
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import xaicore
from xaicore.outputs import Answer, Detections, corners, overlaps, read_detections
from xaicore.targets import Box, Boxes, Detector, Yolo

LENGTHS = st.floats(0.0625, 100, width=32)
PLACED = arrays(np.float64, (5, 4), elements=LENGTHS)


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(1).uniform(size=(3, 3, 6, 9)).astype(np.float32)


def explain(layout: str, x: np.ndarray, target: Any, class_names: Any = None, **options: Any) -> xaicore.Explanation:
    backend = DetectorBackend(layout, **options)
    return xaicore.Explainer(backend.net, backend=backend)(x, targets=target, class_names=class_names)


REFUSED = {
    "rank": (
        "ragged",
        Box(9),
        "image 0 has fewer than 10 boxes; the best of all are: dog 0.739 at (-0.2, 0.3, 2.8, 3.3);",
    ),
    "threshold": (
        "ragged",
        Box(threshold=0.9),
        "image 0 has no box with a score of at least 0.9; the best of all are: dog",
    ),
    "label": ("ragged", Box(label="cat"), "image 0 has no box of cat; the best of all are: dog 0.739 at"),
    "labels": ("ragged", Boxes(2, label="cat"), "and the other images have none either"),
    "name": ("ragged", Box(label="dgo"), "label='dgo' is none of the 3 class names; did you mean 'dog'?"),
    "place": (
        "ragged",
        Box(near=(0, 0, 3, 3), overlap=0.9),
        "image 0 has no box that overlaps with (0, 0, 3, 3) by 0.9 or more; the nearest are: dog 0.739 at "
        "(-0.2, 0.3, 2.8, 3.3), overlap 0.70; dog 0.707 at",
    ),
    "places": ("ragged", Box(near=[(0, 0, 3, 3)] * 2), "near= has 2 boxes for 3 images"),
    "links": (
        "queries",
        Box(),
        "output 'logits' has 3 columns, and the model's configuration names no number of labels",
    ),
    "layout": (
        "yolo",
        Box(),
        "the model returned 0 (7, 6) per image, and nothing says which of these numbers are boxes",
    ),
    "absent": ("queries", Box(read=Detector()), "and no output 'boxes'"),
    "explained": ("queries", Box(read=Detector("logits", "pred_boxes")), "pass output='pred_boxes'"),
    "labels of rows": (
        "queries",
        Box(read=Detector("logits", "logits", None)),
        "expected (Q, 4), and (Q,) with labels",
    ),
    "numbers": ("yolo", Box(read=Yolo(axis=1, classes=4)), "a box has 7 numbers: expected 4, and a score per class"),
    "read": ("yolo", Box(read=lambda answer: []), "read= returned 0 values for 3 images"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_there_is_named(case: str, x: np.ndarray) -> None:
    layout, target, message = REFUSED[case]
    with pytest.raises(xaicore.XaicoreError, match=re.escape(message)):
        explain(layout, x, target, ["cat", "dog", "bird"] if layout == "ragged" else None)


def test_the_axis_of_a_single_tensor_is_asked_for_where_both_fit(x: np.ndarray) -> None:
    with pytest.raises(xaicore.OutputError, match="nothing says which axis holds the numbers of a box: pass read="):
        explain("yolo", x, Box(read=Yolo("xyxy")))
    known = explain("yolo", x, Box(read=Yolo("xyxy")), ["cat", "dog", "bird"])
    assert known.scores == pytest.approx(explain("yolo", x, Box(read=Yolo("xyxy", axis=1))).scores)


def test_an_image_without_a_detection_is_named_and_so_are_all(x: np.ndarray) -> None:
    x[1] = 0
    with pytest.raises(
        xaicore.TargetError, match=r"no detection in image 1: leave it out, or pass targets=.*Boxes\(1\)"
    ):
        explain("ragged", x, Box())
    skipped = explain("ragged", x, Boxes(1))
    assert skipped.empty.tolist() == [False, True, False]
    for target in (Box(), Boxes(1), Box(near=(0, 0, 3, 3))):
        with pytest.raises(xaicore.TargetError, match="the detector found nothing in any image"):
            explain("ragged", x * 0, target)


def test_names_are_compared_with_the_configuration(x: np.ndarray) -> None:
    with pytest.raises(xaicore.InputError, match="2 class names, and the model's configuration names 3 classes"):
        explain("queries", x, Box(), ["cat", "dog"], class_count=3)
    with pytest.raises(xaicore.TargetError, match="to use names, pass class_names="):
        explain("queries", x, Box(label="cat"), class_count=3)


def test_labels_that_are_texts_of_the_call_are_asked_for(x: np.ndarray) -> None:
    backend = DetectorBackend("queries", class_count=2)
    backend.extra = {"text_embeds": np.zeros((3, 2, 8))}
    with pytest.raises(xaicore.OutputError, match="nothing says which of these numbers are boxes"):
        xaicore.Explainer(backend.net, backend=backend)(x, targets=Box())


def test_a_backend_without_parts_is_refused(backend: xaicore.Backend, x: np.ndarray) -> None:
    with pytest.raises(xaicore.TargetError, match="target best box reads all outputs"):
        xaicore.Explainer(object(), backend=backend)(x, targets=Box())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Box(-1), "Box(-1)"),
        (lambda: Box(1, near=(0, 0, 1, 1)), "Box(1)"),
        (lambda: Box(near=(3, 0, 1, 1)), "x0 < x1"),
        (lambda: Box(near=(0, 0, 1)), "x0 < x1"),
        (lambda: Box(label=0.5), "label=0.5"),  # type: ignore[arg-type]
        (lambda: Box(read=3), "read=3"),  # type: ignore[arg-type]
        (lambda: Box(overlap=0), "overlap=0"),
        (lambda: Boxes(0), "Boxes(0)"),
        (lambda: Detector(format="yxyx"), "format='yxyx'"),
        (lambda: Detector(activation="relu"), "activation='relu'"),
        (lambda: Detector(background="middle"), "background='middle'"),
        (lambda: Yolo(axis=0), "axis=0"),
        (lambda: Yolo(nms=2), "nms=2"),
        (lambda: corners(np.zeros((1, 4)), "yxyx"), "format='yxyx'"),
        (lambda: Detections(np.zeros((2, 4)), np.zeros(3), np.zeros(3), np.zeros(3)), "boxes (2, 4), scores (3,)"),
    ],
)
def test_options_are_checked(make: Any, message: str) -> None:
    with pytest.raises(xaicore.XaicoreError, match=re.escape(message)):
        make()


@given(PLACED)
def test_forms_of_boxes_are_the_same_boxes(given_boxes: np.ndarray) -> None:
    first, size = given_boxes[:, :2], given_boxes[:, 2:]
    expected = np.concatenate([first, first + size], axis=1)
    assert corners(given_boxes, "xywh") == pytest.approx(expected)
    assert corners(np.concatenate([first + size / 2, size], axis=1), "cxcywh") == pytest.approx(expected)
    assert corners(expected / [50, 20, 50, 20], "xyxy", (20, 50)) == pytest.approx(expected)


@given(PLACED)
def test_overlaps_are_shares_of_the_union(given_boxes: np.ndarray) -> None:
    boxes = corners(given_boxes, "xywh")
    for box in boxes:
        shared = overlaps(box, boxes)
        assert ((shared >= 0) & (shared <= 1 + 1e-9)).all()
    assert [overlaps(box, boxes[k : k + 1])[0] for k, box in enumerate(boxes)] == pytest.approx(np.ones(5))
    assert overlaps(boxes[0], boxes[1:2])[0] == pytest.approx(overlaps(boxes[1], boxes[:1])[0])


@given(PLACED, arrays(np.float64, 5, elements=st.floats(1e-9, 1)), st.lists(st.integers(0, 1), min_size=5, max_size=5))
def test_kept_boxes_do_not_overlap_and_the_others_lie_under_a_better_one(
    given_boxes: np.ndarray, scores: np.ndarray, labels: list[int]
) -> None:
    boxes = corners(given_boxes, "xywh")
    found = Detections(boxes, scores, np.array(labels), np.arange(5), nms=0.4)
    kept = [one.places[0] for one in found.ranked(5)]
    assert scores[kept].tolist() == sorted(scores[kept], reverse=True)
    assert kept[0] == scores.argmax()
    for q in range(5):
        under = [p for p in kept if p != q and labels[p] == labels[q] and overlaps(boxes[p], boxes[q : q + 1])[0] > 0.4]
        assert bool(under) != (q in kept)
        if under:
            assert scores[under].max() >= scores[q]


def test_padding_is_no_detection() -> None:
    parts = {"boxes": [np.ones((2, 4)), np.ones((1, 4))], "scores": [np.ones(2), np.ones(1)]}
    answer = Answer(np.ones((2, 2)), "logits", None, parts | {"labels": [np.zeros(2), np.zeros(1)]}, "scores")
    assert [len(one.boxes) for one in read_detections(answer)] == [2, 1]

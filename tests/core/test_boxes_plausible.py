"""Boxes and scores of a wrong description are refused: a picture of them would look right."""

from __future__ import annotations

import re

import numpy as np
import pytest

import xaicore
from xaicore.outputs import Answer, Detections
from xaicore.targets import Box, Boxes, Detector, Yolo

SIZE = (64, 96)
Q, CLASSES = 40, 5


def boxes() -> np.ndarray:
    """Centre and size in pixels, (Q, 4), all in the picture."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.uniform(20, 60, (Q, 2)), rng.uniform(4, 30, (Q, 2))], axis=1)


def scores() -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 1, (Q, CLASSES))


def read(yolo: Yolo, b: np.ndarray, s: np.ndarray, class_count: int | None = None) -> list[Detections]:
    """Of a tensor (1, Q, 4 + classes)."""
    outputs = np.concatenate([b, s], axis=1)[None].astype(np.float32)
    return yolo(Answer(outputs, "values", None, {0: outputs}, 0, 1, SIZE, class_count))


def test_the_right_description_is_read() -> None:
    (found,) = read(Yolo(axis=2), boxes(), scores())
    b = boxes()
    np.testing.assert_allclose(found.boxes, np.concatenate([b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2], 1), 1e-5)
    np.testing.assert_allclose(found.scores, scores(), rtol=1e-6)
    (small,) = read(Yolo(axis=2, relative=True), boxes() / [*SIZE[::-1], *SIZE[::-1]], scores())
    np.testing.assert_allclose(small.boxes, found.boxes, rtol=1e-5)
    half = scores()
    half[0, 0] = 1.0005  # half precision
    assert len(read(Yolo(axis=2), boxes(), half)) == 1


@pytest.mark.parametrize(
    ("yolo", "change", "message"),
    [
        (Yolo(axis=1), lambda b, s: (b, s), "Where axis 2 holds the numbers of a box, pass Yolo(axis=2)"),
        (
            Yolo(axis=2),
            lambda b, s: (b, 9 * s - 4),
            "expected 0 to 1. Where axis 1 holds the numbers of a box, pass Yolo(axis=1); where masks or key "
            "points follow them, pass classes=; where they are logits, activation='sigmoid'. Yolo('cxcywh', axis=2) "
            "read them",
        ),
        (
            Yolo("xyxy", axis=2),
            lambda b, s: (b, s),
            "40 of 40 boxes with a negative width or height as Yolo('xyxy', axis=2) reads them: pass the format= of "
            "their four numbers, 'xyxy', 'xywh' or 'cxcywh', or the other axis=, 1 or 2; offsets from anchors need a "
            "function as read=, which decodes them",
        ),
        (
            Yolo(axis=2),
            lambda b, s: (b / [*SIZE[::-1], *SIZE[::-1]], s),
            "and the picture is 64 x 96 pixels: where they are fractions of it, pass relative=True. Yolo('cxcywh', "
            "axis=2) reads them as pixels",
        ),
        (
            Yolo(axis=2, relative=True),
            lambda b, s: (b, s),
            "40 of 40 boxes far outside of the picture as Yolo('cxcywh', axis=2) reads them, and the picture is 64 x "
            "96 pixels: expected their format=, or relative=False, where they are pixels, or the other axis=, 1 or 2",
        ),
        (
            Yolo(axis=2),
            lambda b, s: (b * 10, s),
            "expected their format=, or boxes in pixels of that picture",
        ),
    ],
)
def test_a_wrong_one_is_refused_with_what_to_type(yolo, change, message) -> None:  # type: ignore[no-untyped-def]
    b = boxes()
    b[:, 2:] = np.minimum(b[:, 2:], 18)  # less than their centres are from the edge
    with pytest.raises(xaicore.OutputError, match=re.escape(message)) as caught:
        read(yolo, *change(b, scores()))
    assert str(caught.value).startswith("image 0 has ")


def test_scores_and_sizes_that_were_seen_are_named() -> None:
    s = scores()
    s[3, 1], s[4, 2] = -2.5, 7
    with pytest.raises(xaicore.OutputError, match=r"image 0 has scores between -2\.5 and 7: expected 0 to 1"):
        read(Yolo(axis=2), boxes(), s)
    with pytest.raises(xaicore.OutputError, match=r"image 0 has scores between -2\.5 and 7: expected 0 to 1"):
        read(Yolo(axis=2, objectness=True), boxes(), s)
    assert len(read(Yolo(axis=2, classes=1), boxes(), s)) == 1  # those behind are no scores


def test_a_known_number_of_classes_settles_the_axis() -> None:
    message = r"an image has outputs \(40, 9\), and axis=1 says that a box has 40 numbers: for 5 classes, pass axis=2"
    with pytest.raises(xaicore.OutputError, match=message):
        read(Yolo(axis=1), boxes(), scores(), class_count=CLASSES)
    assert len(read(Yolo(axis=2), boxes(), scores(), class_count=CLASSES)) == 1
    assert len(read(Yolo(axis=2), boxes(), scores(), class_count=3)) == 1  # masks behind: nothing contradicts


@pytest.mark.parametrize("turned", [4, 5])
def test_a_few_boxes_of_an_untrained_net_may_be_turned(turned: int) -> None:
    b = boxes()
    b[:turned, 2] *= -1
    if turned <= Q / 10:
        (found,) = read(Yolo(axis=2), b, scores())
        assert (found.boxes[:turned, 0] > found.boxes[:turned, 2]).all()
    else:
        with pytest.raises(xaicore.OutputError, match="5 of 40 boxes with a negative width or height"):
            read(Yolo(axis=2), b, scores())


def test_boxes_that_lie_apart_from_their_scores() -> None:
    parts = {"boxes": boxes()[None], "classes": scores()[None]}
    answer = Answer(scores()[None].astype(np.float32), "values", None, parts, "classes", 1, SIZE)
    with pytest.raises(xaicore.OutputError, match=r"negative width or height as Detector\(format='xyxy'\) reads them"):
        Detector()(answer)
    assert len(Detector(format="cxcywh")(answer)[0].boxes) == Q
    unknown = Answer(answer.outputs, "values", None, parts, "classes", 1)  # no size to compare with
    assert len(Detector(format="cxcywh")(unknown)[0].boxes) == Q


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("form", ["xyxy", "xywh", "cxcywh"])
@pytest.mark.parametrize("filler", [0, -1])
def test_boxes_that_fill_up_an_image_are_no_sign_of_a_wrong_description(form, relative, count, filler) -> None:  # type: ignore[no-untyped-def]
    b, s = np.full((Q, 4), filler, float), np.full((Q, CLASSES), min(filler, 0), float)
    b[:count], s[:count] = [20, 30, 40, 50], scores()[:count]
    b[:count] /= [*SIZE[::-1], *SIZE[::-1]] if relative else [1]
    parts = {"boxes": b[None], "classes": s[None]}
    answer = Answer(s[None].astype(np.float32), "values", None, parts, "classes", 1, SIZE)
    (found,) = Detector(format=form, relative=relative)(answer)
    assert len(found.ranked(Q, threshold=1e-9)) == count
    if not filler:
        assert len(read(Yolo(form, axis=2, relative=relative), b, s)) == 1


@pytest.mark.parametrize("filler", [0, -1])
def test_boxes_that_fill_up_are_not_explained(filler: int) -> None:
    b, s = np.full((2, Q, 4), filler, float), np.full((2, Q), filler, float)
    b[0, :2], s[0, :2] = [20, 30, 40, 50], [0.7, 0.9]
    parts = {"boxes": b, "classes": s, "labels": np.full((2, Q), min(filler, 0))}
    read = Detector(labels="labels")

    def aim(target: Box | Boxes, images: slice = slice(None)) -> xaicore.targets.Aim:
        some = {name: part[images] for name, part in parts.items()}
        answer = Answer(some["classes"].astype(np.float32), "values", None, some, "classes", 1, SIZE)
        return target.aim(answer.outputs, "values", None, answer)

    found = aim(Boxes(3, read=read))
    assert found.scores is not None
    assert found.boxes is not None
    np.testing.assert_allclose(found.scores, [[0.9, 0.7], [0, 0]])  # K is the most that an image has
    assert np.isnan(found.boxes).all(axis=2).tolist() == [[False, False], [True, True]]
    for target in (Box(0, read=read), Box(near=(20, 30, 40, 50), read=read)):
        with pytest.raises(xaicore.TargetError, match=r"^no detection in image 1: leave it out, or pass targets="):
            aim(target)
    seen = " with a score above 0; the highest is -1" if filler else ""
    with pytest.raises(xaicore.TargetError, match=f"the detector found nothing in any image{seen}: lower its own"):
        aim(Boxes(1, read=read), slice(1, None))


def test_scores_that_are_all_negative_may_be_logits() -> None:
    parts = {"boxes": boxes()[None], "classes": scores()[None] - 3}
    answer = Answer(parts["classes"].astype(np.float32), "values", None, parts, "classes", 1, SIZE)
    with pytest.raises(
        xaicore.TargetError, match=r"scores are logits, pass Detector\(\.\.\., activation='sigmoid'\), or"
    ):
        Boxes(1, read=Detector(format="cxcywh")).aim(answer.outputs, "values", None, answer)


@pytest.mark.parametrize("form", ["Detector", "Yolo"])
def test_boxes_of_changed_pictures_may_be_anything(form: str) -> None:
    """The description was right of the pictures as they are; of a black one, a net returns its biases."""

    def answer(b: np.ndarray, s: np.ndarray) -> Answer:
        parts = {"boxes": b[None], "classes": s[None], 0: np.concatenate([b, s], axis=1)[None]}
        name = "classes" if form == "Detector" else 0
        return Answer(parts[name].astype(np.float32), "values", None, parts, name, 1, SIZE)

    target = Boxes(2, read=Detector(format="cxcywh") if form == "Detector" else Yolo(axis=2, nms=None))
    whole = answer(boxes(), scores())
    first = target.aim(whole.outputs, "values", None, whole)
    followed = target.again(first)
    again = followed.aim(whole.outputs, "values", None, whole)
    np.testing.assert_array_equal(again.boxes, first.boxes)
    np.testing.assert_array_equal(again.scores, first.scores)
    for b in (boxes() / 100, boxes() * [1, 1, -1, -1], boxes() + 500):
        changed = answer(b, scores())
        with pytest.raises(xaicore.OutputError, match="image 0 has "):
            target.aim(changed.outputs, "values", None, changed)
        assert followed.aim(changed.outputs, "values", None, changed).scores.tolist() == [[0, 0]]

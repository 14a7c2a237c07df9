"""`localize.evaluate` on maps and boxes whose measures are worked out by hand."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest
from explanations import explanation, strip
from hypothesis import given, settings
from hypothesis import strategies as st

from xaicore import InputError, localize
from xaicore.localize import intervals

H, W = 8, 10


def block(x0: int, y0: int, x1: int, y1: int, value: float = 1) -> np.ndarray:
    """A map (H, W), `value` in a box."""
    heat = np.zeros((H, W), np.float32)
    heat[y0:y1, x0:x1] = value
    return heat


def logits(*best: int) -> np.ndarray:
    """Six classes, from the best to the worst."""
    scores = np.zeros((1, 6), np.float32)
    scores[0, list(best)] = np.arange(6, 6 - len(best), -1)
    return scores


def explained(*maps: np.ndarray, best: Any = None, targets: Any = None, **known: Any) -> Any:
    """One map per image. Image n predicts class best[n][0]; its map is for targets[n], else for the prediction."""
    best = best or [(0, 1, 2, 3, 4, 5)] * len(maps)
    one = explanation(np.stack(maps)[:, None], outputs=np.concatenate([logits(*b) for b in best]), **known)
    return one if targets is None else dataclasses.replace(one, targets=np.array(targets))


def test_one_map_by_hand() -> None:
    heat = block(3, 2, 7, 5)
    heat[3, 4], heat[0, 0] = 2, 0.5
    one = localize.evaluate(explained(heat, ids=["a"], truth=[0]), [[3, 2, 7, 6]])
    assert one.boxes.tolist() == [[3, 2, 7, 5]]
    assert one.points.tolist() == [[4, 3]]
    assert one.best_iou.tolist() == [12 / 16]
    assert one.share.tolist() == [13 / 13.5]
    assert one.area.tolist() == [16 / 80]
    assert one.instances.tolist() == [[2, 1, 1]]  # 0.5 is above 0.2 of 2, and a box of its own
    assert (one.counts.tolist(), one.found.tolist(), one.pointed.tolist()) == ([True], [True], [True])
    assert one.row(0) == {
        **{"id": "a", "target": 0, "counts": True, "box": [3, 2, 7, 5], "point": [4, 3], "iou": 0.75, "found": True},
        **{"pointed": True, "share": 13 / 13.5, "area": 0.2},
        **{"predicted_boxes": 2, "true_boxes": 1, "matched_boxes": 1},
    }
    values = {name: estimate.value for name, estimate in one.estimates.items()}
    assert values == {
        **{"top1_error": 0, "top5_error": 0, "gt_known_error": 0, "pointing": 1, "energy": 13 / 13.5, "iou": 0.75},
        **{"precision": 0.5, "recall": 1},
    }
    assert one.uniform == 0.2


def test_an_overlap_of_a_half_is_enough() -> None:
    e = explained(block(0, 0, 4, 4), truth=[0])
    assert localize.evaluate(e, [[0, 0, 4, 8]]).found.tolist() == [True]
    assert localize.evaluate(e, [[0, 0, 4, 8]], min_iou=0.51).found.tolist() == [False]
    assert localize.evaluate(e, [[0, 0, 5, 8]]).found.tolist() == [False]  # 16 / 40


def test_the_threshold_is_that_of_boxes() -> None:
    heat = block(0, 0, 8, 8, 0.5) + block(0, 0, 4, 4, 0.5)
    e = explained(heat, truth=[0])
    for threshold, box in ((0.2, [0, 0, 8, 8]), (0.5, [0, 0, 4, 4])):
        one = localize.evaluate(e, [[0, 0, 4, 4]], threshold=threshold)
        assert one.boxes.tolist() == e.boxes(threshold).tolist() == [box]
    assert one.points.tolist() == e.points().tolist() == [[1, 1]]


# Classes: top 1, top 5, GT-known.

GOOD, BAD = block(0, 0, 4, 4), block(6, 4, 10, 8)


def test_top_1_needs_class_and_box() -> None:
    e = explained(GOOD, GOOD, BAD, best=[(0, 1), (1, 0), (0, 1)], targets=[0, 0, 0], truth=[0, 0, 0])
    one = localize.evaluate(e, [[0, 0, 4, 4]] * 3)
    assert one.found.tolist() == [True, True, False]
    assert one.top1_wrong.tolist() == [0, 1, 1]  # the second image predicts another class
    assert one.top5_wrong.tolist() == [0, 0, 1]
    assert (one.top1_error.value, one.top5_error.value, one.gt_known_error.value) == (2 / 3, 1 / 3, 1 / 3)


def test_the_sixth_class_is_not_among_the_top_5() -> None:
    e = explained(GOOD, GOOD, best=[(1, 2, 3, 4, 0), (1, 2, 3, 4, 5, 0)], targets=[0, 0], truth=[0, 0])
    one = localize.evaluate(e, [[0, 0, 4, 4]] * 2)
    assert one.top5_wrong.tolist() == [0, 1]
    assert one.top1_wrong.tolist() == [1, 1]
    assert one.gt_known_error.value == 0


def test_maps_of_predictions_alone_know_top_1() -> None:
    """The second image predicts a wrong class, and the box of its true class is not known."""
    e = explained(GOOD, GOOD, best=[(0, 1), (1, 0)], truth=[0, 0])
    one = localize.evaluate(e, [[0, 0, 4, 4]] * 2)
    assert one.top1_wrong.tolist() == [0, 1]
    assert one.top5_wrong is None
    assert one.top5_error is None
    assert one.notes == ("Top-5 errors need a row for the true class of every image: targets='truth'.",)
    assert one.counts.tolist() == [True, False]
    assert one.gt_known_error.count == one.pointing.count == one.energy.count == 1
    assert np.isnan(one.best_iou[1])
    assert np.isnan(one.share[1])
    row = one.row(1)
    assert (row["target"], row["counts"], row["box"], row["point"]) == (1, False, [0, 0, 4, 4], [1, 1])
    assert {row[key] for key in ("iou", "found", "pointed", "share", "area", "true_boxes")} == {None}
    assert re.search(r"top-5 localisation error +-\n", str(one))
    assert str(one).endswith(one.notes[0])


def test_maps_of_five_classes() -> None:
    maps = np.stack([GOOD if c == 3 else BAD for c in range(5)])[None]
    e = explanation(maps, outputs=logits(0, 1, 2, 3, 4, 5), truth=[3])
    one = localize.evaluate(e, [[0, 0, 4, 4]])
    assert e.targets.tolist() == [0, 1, 2, 3, 4]
    assert one.counts.tolist() == [False, False, False, True, False]
    assert (one.top1_wrong.tolist(), one.top5_wrong.tolist()) == ([1], [0])


def test_a_map_that_lacks_top_1() -> None:
    """Class 0 is predicted and true, and class 1 is explained."""
    e = explained(GOOD, GOOD, best=[(0, 1), (1, 0)], targets=[1, 1], truth=[0, 1])
    one = localize.evaluate(e, [[0, 0, 4, 4]] * 2)
    assert one.top1_error is None
    assert one.top5_error is None
    assert one.notes[0].startswith("Top-1 and top-5 errors need a row for the true class")


def test_a_classifier_of_one_output() -> None:
    maps = np.stack([GOOD, GOOD, GOOD])[:, None]
    e = explanation(maps, outputs=np.array([[3.0], [-3.0], [3.0]], np.float32), truth=[1, 0, 0])
    e = dataclasses.replace(e, targets=np.array([1, 0, 0]))
    assert e.predicted.tolist() == [1, 0, 1]
    one = localize.evaluate(e, [[0, 0, 4, 4]] * 3)
    assert one.top1_wrong.tolist() == [0, 0, 1]
    assert one.top5_wrong.tolist() == [0, 0, 0]


def test_boxes_of_several_classes_in_an_image() -> None:
    maps = np.stack([GOOD, BAD])[None]  # class 0 on the left, class 1 on the right
    e = explanation(maps, outputs=logits(0, 1))
    boxes = [[[0, 0, 4, 4], [6, 4, 10, 8]]]
    one = localize.evaluate(e, boxes, classes=[[0, 1]])
    assert one.found.tolist() == [True, True]
    assert one.share.tolist() == [1, 1]
    swapped = localize.evaluate(e, boxes, classes=[[1, 0]])
    assert swapped.found.tolist() == [False, False]
    assert swapped.share.tolist() == [0, 0]
    assert (swapped.top1_wrong.tolist(), one.top1_wrong.tolist()) == ([1], [0])
    assert localize.evaluate(e, boxes, classes="any").found.tolist() == [True, True]
    assert localize.evaluate(e, boxes, classes=[0]).counts.tolist() == [True, False]  # both boxes hold class 0


def test_boxes_without_classes_belong_to_what_is_explained() -> None:
    one = localize.evaluate(explained(GOOD, BAD), [[0, 0, 4, 4]] * 2)
    assert one.counts.tolist() == [True, True]
    assert one.gt_known_error.value == 0.5
    assert one.top1_error is None
    assert one.notes == ("Top-1 and top-5 errors need the class of each true box: pass classes=.",)


def test_values_have_no_top_1() -> None:
    e = dataclasses.replace(explained(GOOD), predicted=None)
    one = localize.evaluate(e, [[0, 0, 4, 4]], classes=[0])
    assert (one.top1_error, one.top5_error, one.found.tolist()) == (None, None, [True])
    assert "the outputs are no scores of classes" in one.notes[0]


def test_truth_of_several_labels() -> None:
    e = explained(GOOD, GOOD)
    truth = np.zeros((2, 6), bool)
    truth[:, 0] = True
    assert localize.evaluate(dataclasses.replace(e, truth=truth), [[0, 0, 4, 4]] * 2).counts.tolist() == [True, True]
    truth[1, 3] = True
    with pytest.raises(
        InputError, match=r"the truth of '1' is 2 classes, so that it does not say what its true boxes "
    ):
        localize.evaluate(dataclasses.replace(e, truth=truth), [[0, 0, 4, 4]] * 2)
    # An image without boxes needs no class.
    few = localize.evaluate(dataclasses.replace(e, truth=truth), [[[0, 0, 4, 4]], []])
    assert few.counts.tolist() == [True, False]
    assert few.top1_wrong.tolist()[0] == 0
    assert np.isnan(few.top1_wrong[1])
    assert few.top1_error.count == 1


def test_one_right_class_of_several_is_enough() -> None:
    """Whatever the map of the other, which is not there, would show."""
    boxes, classes = [[[0, 0, 4, 4], [6, 4, 10, 8]]], [[0, 1]]
    assert localize.evaluate(explained(GOOD), boxes, classes=classes).top5_wrong.tolist() == [0]
    assert localize.evaluate(explained(BAD), boxes, classes=classes).top5_wrong is None


def test_a_class_that_is_explained_twice() -> None:
    e = explanation(np.stack([GOOD, BAD])[None], outputs=logits(0, 1), truth=[0])
    e = dataclasses.replace(e, targets=np.array([0, 0]))
    one = localize.evaluate(e, [[0, 0, 4, 4]])
    assert (one.found.tolist(), one.top1_wrong.tolist()) == ([True, False], [0])


# The pointing game.


@pytest.mark.parametrize(
    ("box", "distance"),
    [
        ([5, 3, 6, 4], 0),
        ([5, 3, 9, 8], 0),
        ([2, 3, 5, 4], 1),  # the end is exclusive: its last pixel is 4
        ([6, 3, 9, 4], 1),
        ([5, 0, 6, 3], 1),
        ([5, 4, 6, 6], 1),
        ([8, 7, 9, 8], 5),  # 3 and 4 pixels away
        ([0, 0, 2, 3], 17**0.5),
    ],
)
def test_the_pointing_game_and_its_tolerance(box: list[int], distance: float) -> None:
    e = explained(block(5, 3, 6, 4), truth=[0])
    assert localize.evaluate(e, [box]).pointed.tolist() == [distance == 0]
    assert localize.evaluate(e, [box], tolerance=distance).pointed.tolist() == [True]
    if distance:
        assert localize.evaluate(e, [box], tolerance=distance - 0.01).pointed.tolist() == [False]


def test_the_maximum_is_not_clipped() -> None:
    """Maps of single pixels are drawn by their 99th percentile, where their largest pixels are equal."""
    heat = np.zeros((40, 40), np.float32)
    heat[10:18, 10:14] = 3
    heat[1, 1] = 9
    e = dataclasses.replace(explained(heat, truth=[0]), of_pixels=True)
    assert (e.heatmaps() == 1).sum() == 33
    one = localize.evaluate(e, [[1, 1, 2, 2]])
    assert one.points.tolist() == e.points().tolist() == [[1, 1]]
    assert one.share.tolist() == [9 / 105]
    assert one.boxes.tolist() == e.boxes().tolist() == [[10, 10, 14, 18]]


def test_evidence_against_the_target_is_left_out() -> None:
    heat = block(0, 0, 2, 2) - block(5, 5, 9, 8, 100)
    one = localize.evaluate(explained(heat, truth=[0], signed=True), [[0, 0, 2, 1]])
    assert one.share.tolist() == [0.5]
    assert one.boxes.tolist() == [[0, 0, 2, 2]]


def test_a_map_without_evidence_misses() -> None:
    one = localize.evaluate(explained(block(0, 0, 0, 0), truth=[0]), [[0, 0, W, H]], tolerance=99)
    assert one.row(0)["point"] is None
    assert (one.found.tolist(), one.pointed.tolist(), one.share.tolist()) == ([False], [False], [0])
    assert one.instances.tolist() == [[0, 1, 0]]
    assert (one.precision, one.recall.value) == (None, 0)


# Several instances.


def test_one_of_several_instances_is_a_hit() -> None:
    e = explained(BAD, truth=[0])
    one = localize.evaluate(e, [[[0, 0, 4, 4], [6, 4, 10, 8]]])
    assert (one.found.tolist(), one.pointed.tolist(), one.top1_wrong.tolist()) == ([True], [True], [0])
    assert one.share.tolist() == [1]
    assert one.area.tolist() == [32 / 80]
    assert one.instances.tolist() == [[1, 2, 1]]
    assert (one.precision.value, one.recall.value) == (1, 0.5)
    # Boxes that overlap are counted once.
    assert localize.evaluate(e, [[[0, 0, 4, 4], [0, 0, 4, 4], [2, 0, 6, 4]]]).area.tolist() == [24 / 80]


def test_several_boxes_against_several_instances() -> None:
    heat = block(0, 0, 4, 4) + block(6, 4, 10, 8) + block(9, 0, 10, 1)  # the two largest are as large: first the left
    e = explained(heat, truth=[0])
    true = [[[6, 4, 10, 7], [0, 6, 2, 8]]]
    assert localize.evaluate(e, true).instances.tolist() == [[3, 2, 1]]
    assert localize.evaluate(e, true, components=2).instances.tolist() == [[2, 2, 1]]
    assert localize.evaluate(e, true, components=1).instances.tolist() == [[1, 2, 0]]
    one = localize.evaluate(e, true)
    assert one.precision == intervals.proportion(np.array([True, False, False]), 0.95)
    assert one.recall == intervals.proportion(np.array([True, False]), 0.95)


# Intervals.


def test_wilsons_interval() -> None:
    """10 of 20 and 0 of 10, z = 1.959964: (Wilson 1927), as published tables have it."""
    one = intervals.proportion(np.arange(20) < 10, 0.95)
    assert (one.value, one.count) == (0.5, 20)
    assert (round(one.low, 4), round(one.high, 4)) == (0.2993, 0.7007)
    none = intervals.proportion(np.zeros(10, bool), 0.95)
    assert (none.low, round(none.high, 4)) == (0, 0.2775)
    every = intervals.proportion(np.ones(10, bool), 0.95)
    assert (round(every.low, 4), every.high) == (0.7225, 1)
    assert intervals.proportion(np.zeros(0, bool), 0.95) is None
    assert str(one) == "0.500 [0.299, 0.701], n = 20"


@given(st.integers(1, 200), st.integers(0, 200), st.sampled_from([0.5, 0.9, 0.99]))
def test_wilsons_ends_solve_its_equation(n: int, hits: int, confidence: float) -> None:
    one = intervals.proportion(np.arange(n) < hits, confidence)
    z = intervals.NormalDist().inv_cdf((1 + confidence) / 2)
    assert 0 <= one.low <= one.value <= one.high <= 1
    for end in (one.low, one.high):
        assert abs((one.value - end) ** 2 - z * z * end * (1 - end) / n) < 1e-9


def test_the_bootstrap_is_over_images() -> None:
    values, images = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0, 0, 1, 1])
    one = intervals.mean(values, images, 0.95)
    assert (one.value, one.low, one.high, one.count) == (0.5, 0, 1, 4)  # of two images, a quarter draws one twice
    assert one == intervals.mean(values, images, 0.95)  # the seed is fixed
    alone = intervals.mean(values, np.zeros(4, int), 0.95)
    assert (alone.value, alone.count) == (0.5, 4)
    assert np.isnan(alone.low)
    assert np.isnan(alone.high)
    assert intervals.mean(np.zeros(0), np.zeros(0, int), 0.95) is None


def test_the_bootstrap_is_as_wide_as_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(size=400)
    one = intervals.mean(values, np.arange(400), 0.95)
    error = values.std() / 20
    assert abs(one.low - (values.mean() - 1.96 * error)) < 0.2 * error
    assert abs(one.high - (values.mean() + 1.96 * error)) < 0.2 * error


def test_the_confidence_of_all_intervals() -> None:
    e = explained(*[GOOD, BAD] * 4, truth=[0] * 8)
    wide, narrow = (localize.evaluate(e, [[0, 0, 4, 4]] * 8, confidence=c) for c in (0.99, 0.5))
    for name, one in wide.estimates.items():
        other = narrow.estimates[name]
        assert one.value == other.value
        assert one.low < other.low < other.value < other.high < one.high, name


# As text.


def test_the_table() -> None:
    e = explained(*[GOOD] * 3, BAD, best=[(0, 1)] * 4, truth=[0] * 4, method="mine")
    one = localize.evaluate(e, [[0, 0, 4, 4]] * 4, tolerance=15)
    assert str(one).splitlines() == [
        "mine at conv of builtins.NoneType: 4 of 4 rows, 4 images",
        "threshold 0.2, IoU >= 0.5, pointing within 15 pixels",
        "                                value  95 % interval           n",
        "top-1 localisation error        0.250  0.046 to 0.699          4",
        "top-5 localisation error        0.250  0.046 to 0.699          4",
        "GT-known localisation error     0.250  0.046 to 0.699          4",
        "pointing game                   1.000  0.510 to 1.000          4",
        "share of evidence in the box    0.750  0.250 to 1.000          4",
        "overlap of the box (IoU)        0.750  0.250 to 1.000          4",
        "precision of several boxes      0.750  0.301 to 0.954          4",
        "recall of several boxes         0.750  0.301 to 0.954          4",
        "A uniform map has a share of 0.200 in the box.",
    ]
    assert repr(one) == (
        "<Localization of 4 of 4 rows, 4 images: mine at conv of builtins.NoneType: "
        "top1_error 0.250, top5_error 0.250, gt_known_error 0.250, pointing 1.000, energy 0.750, iou 0.750, "
        "precision 0.750, recall 0.750>"
    )
    assert len(one) == 4
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.threshold = 1


# What is refused.

ONE_OF_TWO = [[0, 0, 4, 4], [0, 0, 4, 4]]


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (3, r"true_boxes=3: expected \(N, 4\), one box per image, or a list of N arrays \(B, 4\): x0, y0, x1, y1"),
        ([1, 2, 3, 4], r"true_boxes=\[1, 2, 3, 4\]: expected \(N, 4\)"),
        ({"a": [0, 0, 1, 1]}, r"true_boxes=\{'a': \[0, 0, 1, 1\]\}: expected"),
        ([[0, 0, 4, 4]], r"true_boxes are of 1 images, and the explanation is of 2: pass \(N, 4\), one box per image"),
        (np.zeros((4, 4)), "true_boxes are of 4 images, and the explanation is of 2"),
        ([], "true_boxes are of 0 images"),
        ([[0, 0, 4, 4], [0, 0, 4]], r"the true boxes of 'b' have shape \(1, 3\) and type int64: expected \(B, 4\)"),
        ([[[0, 0, 4, 4]], [[[0, 0, 4, 4]]]], r"the true boxes of 'b' have shape \(1, 1, 4\)"),
        (
            [[0, 0, 4, 4], [[0, 0, 4, 4], [0, 0, 4]]],
            r"the true boxes of 'b' have shape \(2,\) and type object|\(1, 2\)",
        ),
        ([[0, 0, 4, 4], ["a"] * 4], "the true boxes of 'b' have shape .* and type <U1"),
        ([[0, 0, 4, 4], [0.1, 0.1, 0.5, 0.5]], r"0.1, 0.1, 0.5, 0.5 of 'b' is not in whole pixels: .* 10 x 8"),
        ([[0, 0, 4, 4], [0, 0, np.nan, 4]], "0, 0, nan, 4 of 'b' is not in whole pixels"),
        (
            [[0, 0, 4, 4], [4, 0, 4, 4]],
            "4, 0, 4, 4 of 'b' has no area: expected x0, y0, x1, y1 with x0 < x1",
        ),
        ([[0, 0, 4, 4], [6, 5, 3, 2]], r"6, 5, 3, 2 of 'b' has no area: .* x, y, x \+ width, y \+ height"),
        ([[0, 0, 4, 4], [[0, 0, 1, 1], [0, 0, 11, 8]]], r"0, 0, 11, 8 of 'b' leaves the picture of 10 x 8 pixels"),
        ([[0, 0, 4, 4], [0, 0, 10, 9]], "0, 0, 10, 9 of 'b' leaves the picture of 10 x 8 pixels"),
        ([[0, 0, 4, 4], [-1, 0, 10, 8]], "-1, 0, 10, 8 of 'b' leaves the picture"),
        ([[], []], "no image has a true box: there is nothing to compare the maps with"),
    ],
)
def test_boxes_that_do_not_fit(boxes: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        localize.evaluate(explained(GOOD, GOOD, ids=["a", "b"], truth=[0, 0]), boxes)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (0, r"classes=0: expected one class per image, a list of N arrays \(B,\), one per box, 'any'"),
        ("every", "classes='every': expected one class per image"),
        ([0], "classes are of 1 images, and there are 2"),
        ([0, "cat"], "classes 'cat' of the 1 true boxes of 'b': expected class indices"),
        ([0, [0, 1]], r"classes \[0, 1\] of the 1 true boxes of 'b': .* one for all of them or one per box"),
        ([0, -1], "classes -1 of the 1 true boxes of 'b'"),
        ([0, 1.5], "classes 1.5 of the 1 true boxes of 'b'"),
        ([0, 6], r"a true box holds class 6: outputs \(2, 6\) have classes 0 to 5"),
        (
            [2, 3],
            "no row explains the class of a true box of its image: the rows explain 0, the boxes hold 2, 3; explain "
            "the true classes, targets='truth', or pass classes='any'",
        ),
    ],
)
def test_classes_that_do_not_fit(classes: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        localize.evaluate(explained(GOOD, GOOD, ids=["a", "b"]), ONE_OF_TWO, classes=classes)


def test_the_advice_of_the_errors_works() -> None:
    e = explained(GOOD, GOOD, ids=["a", "b"], truth=[2, -1])
    with pytest.raises(InputError, match=r"the truth of 'b' is unknown, .* one class per box, or classes='any'"):
        localize.evaluate(e, ONE_OF_TWO)
    assert localize.evaluate(e, ONE_OF_TWO, classes="any").found.tolist() == [True, True]
    assert localize.evaluate(e, ONE_OF_TWO, classes=[[0], [0]]).found.tolist() == [True, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1}, "threshold=1: expected a share of the maximum, 0 <= threshold < 1"),
        ({"threshold": 20}, "threshold=20: expected"),
        ({"min_iou": 0}, "min_iou=0: expected an overlap, 0 < min_iou <= 1"),
        ({"components": 0}, "components=0: expected a number of components, 1 or more, or None"),
        ({"tolerance": -1}, "tolerance=-1: expected a distance in pixels, 0 or more, such as 15"),
        ({"tolerance": float("inf")}, "tolerance=inf: expected a distance in pixels"),
        ({"tolerance": "15"}, "tolerance='15': expected a distance"),
        ({"confidence": 95}, "confidence=95: expected a share of intervals, 0 < confidence < 1, such as 0.95"),
        ({"confidence": 0}, "confidence=0: expected"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        localize.evaluate(explained(GOOD, truth=[0]), [[0, 0, 4, 4]], **options)


def test_signals_and_volumes_and_views_are_refused() -> None:
    for shape in ((9,), (3, 4, 5)):
        e = explanation(np.ones((1, 1, *shape)), truth=[0])
        with pytest.raises(InputError, match=re.escape(f"maps of shape {shape}: boxes are of one two-dimensional map")):
            localize.evaluate(e, [[0, 0, 1, 1]])
        with pytest.raises(InputError, match="two-dimensional"):
            e.points()
        with pytest.raises(InputError, match="two-dimensional"):
            e.boxes(components=2)
    views = strip(np.ones((1, 1, 3, 4, 5)), None, ["a", "b", "c"])
    with pytest.raises(InputError, match=re.escape("maps of shape (3, 4, 5), 3 views per image: boxes are of one")):
        localize.evaluate(views, [[0, 0, 1, 1]])


def test_what_is_no_explanation() -> None:
    e = explained(GOOD, truth=[0])
    with pytest.raises(InputError, match=r"evaluate\(\) of a dict: expected an Explanation; for those of compare\(\)"):
        localize.evaluate({"given": e}, [[0, 0, 1, 1]])


# Of pictures larger than the maps, and of any maps.


def test_boxes_are_in_pixels_of_the_users_pictures() -> None:
    photo = np.zeros((1, 2 * H, 3 * W, 3), np.uint8)
    e = explained(GOOD, images=photo, truth=[0])
    one = localize.evaluate(e, [[0, 0, 12, 8]])
    assert one.boxes.tolist() == e.boxes().tolist()
    assert one.area.tolist() == [96 / 480]
    assert one.best_iou[0] > 0.7


def test_boxes_and_points_of_an_explanation() -> None:
    e = explained(block(0, 0, 4, 4) + block(6, 4, 10, 8, 2) + block(6, 0, 8, 2), truth=[0])
    assert e.boxes().tolist() == [[0, 0, 4, 4]]
    assert e.boxes(components=2).tolist() == [[[0, 0, 4, 4], [6, 4, 10, 8]]]
    assert e.boxes(0.5, 3).tolist() == [[[6, 4, 10, 8], [0, 0, 0, 0], [0, 0, 0, 0]]]
    assert [boxes.tolist() for boxes in e.all_boxes()] == [[[0, 0, 4, 4], [6, 4, 10, 8], [6, 0, 8, 2]]]
    assert e.points().tolist() == [[7, 5]]


SIDE = st.tuples(st.integers(0, W - 1), st.integers(1, W), st.integers(0, H - 1), st.integers(1, H))
TRUE = SIDE.filter(lambda v: v[0] < v[1] and v[2] < v[3]).map(lambda v: [v[0], v[2], v[1], v[3]])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.lists(TRUE, max_size=3), min_size=2, max_size=4))
def test_measures_of_any_maps(seed: int, boxes: list[list[list[int]]]) -> None:
    rng = np.random.default_rng(seed)
    maps = np.maximum(rng.normal(size=(len(boxes), 2, H, W)), 0) * (rng.random((len(boxes), 2, 1, 1)) > 0.2)
    e = explanation(maps)
    if not any(boxes):
        return
    classes = [rng.choice(e.targets[2 * n : 2 * n + 2], len(of)) for n, of in enumerate(boxes)]
    one = localize.evaluate(e, boxes, classes=classes, tolerance=1)
    for m, (n, target) in enumerate(zip(e.image_index, e.targets, strict=True)):
        true = [box for box, c in zip(boxes[n], classes[n], strict=True) if c == target]
        assert one.counts[m] == bool(true)
        if not true:
            continue
        inside = np.zeros((H, W), bool)
        for x0, y0, x1, y1 in true:
            inside[y0:y1, x0:x1] = True
        heat, (x, y) = e.maps[m].astype(np.float64), one.points[m]
        near = {(x + dx, y + dy) for dx, dy in ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))}
        assert one.pointed[m] == (heat.max() > 0 and any((px, py) in near for py, px in np.argwhere(inside)))
        assert one.share[m] == pytest.approx(heat[inside].sum() / heat.sum() if heat.any() else 0, abs=1e-6)
        assert one.area[m] == inside.mean()
        assert one.best_iou[m] == max(localize.iou(e.boxes()[m], box) for box in true)
        assert one.found[m] == (one.best_iou[m] >= 0.5)
        predicted, count, matched = one.instances[m]
        assert (count, predicted) == (len(true), len(e.all_boxes()[m]))
        assert one.found[m] <= (matched > 0)
        assert matched <= min(predicted, count)
    known = one.top1_error
    if known is not None:
        assert known.value >= one.top5_error.value
    for one_estimate in one.estimates.values():
        assert one_estimate is None or 0 <= one_estimate.value <= 1
